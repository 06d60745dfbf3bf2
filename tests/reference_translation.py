"""Naive twins of paired states and stitching: one prompt, one token at a time."""

import torch


def partners(teacher, student):
    """The last teacher token up to which nothing reaches past what the student token has surely read."""
    found = []
    for i, (start, end) in enumerate(student):
        split_character = i + 1 < len(student) and student[i + 1][0] < end
        limit = start if split_character else end
        best = -1
        for k in range(len(teacher)):
            if all(e <= limit for _, e in teacher[: k + 1]):
                best = k
        found.append(best)
    return found


def hidden(model, ids):
    """Block outputs of one prompt by hooks."""
    seen = []
    handles = [
        block.register_forward_hook(lambda _m, _a, out: seen.append((out[0] if isinstance(out, tuple) else out)[0]))
        for block in model.model.model.layers
    ]
    with torch.no_grad():
        model.model(input_ids=torch.tensor([ids]))
    for handle in handles:
        handle.remove()
    return torch.stack(seen)


def paired_states(teacher, student, texts):
    encoded = [[m.tokenizer(t, return_offsets_mapping=True) for t in texts] for m in (teacher, student)]
    width = max(len(e["input_ids"]) for e in encoded[1])
    paired, states = torch.zeros(len(texts), width, dtype=torch.bool), []
    for row, (of_teacher, of_student) in enumerate(zip(*encoded, strict=True)):
        own = hidden(teacher, of_teacher["input_ids"])
        for i, k in enumerate(partners(of_teacher["offset_mapping"], of_student["offset_mapping"])):
            if i > 0 and k >= 0:
                paired[row, i] = True
                states.append(own[:, k])
    return torch.stack(states, dim=1), paired


def loss(logits, batch):
    total = []
    for row in range(len(batch.ids)):
        bits = 0.0
        for i in range(batch.ids.shape[1] - 1):
            if batch.paired[row, i] and batch.paired[row, i + 1]:
                bits -= (
                    float(logits[row, i].log_softmax(-1)[batch.ids[row, i + 1]]) / torch.log(torch.tensor(2.0)).item()
                )
        total.append(bits)
    return torch.tensor(total)


def own_bits(student, batch):
    with torch.no_grad():
        return loss(student.model(input_ids=batch.ids).logits, batch)


def stitched_bits(student, batch, teacher_layer, student_layer, matrix):
    """The block's output overwritten by a hook in an ordinary pass."""

    def overwrite(_m, _a, out):
        tensor = (out[0] if isinstance(out, tuple) else out).clone()
        for row, i in batch.paired.nonzero().tolist():
            tensor[row, i] = matrix @ batch.teacher[teacher_layer, row, i]
        return (tensor, *out[1:]) if isinstance(out, tuple) else tensor

    handle = student.model.model.layers[student_layer].register_forward_hook(overwrite)
    with torch.no_grad():
        logits = student.model(input_ids=batch.ids).logits
    handle.remove()
    return loss(logits, batch)
