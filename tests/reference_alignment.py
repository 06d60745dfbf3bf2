"""Naive twins of the alignment maths: one token, one layer at a time, from the paper's equations."""

import torch


def recomposed(h, teacher_bases, student_bases):
    """Equations 1 and 2: cosine coefficient of every token, then the same coefficients on the student's bases."""
    out = torch.zeros(student_bases.shape[1], dtype=h.dtype)
    for t, s in zip(teacher_bases, student_bases, strict=True):
        coefficient = (t / t.norm()) @ h / h.norm()
        out += coefficient * s / s.norm()
    return out


def attribution(model, blocks, encoded):
    """One backward per example and layer: sum of gradient times what the block adds, of the mean answer loss."""
    rows = []
    for example in encoded:
        row = []
        for block in blocks:
            kept = []

            def keep(_m, args, kwargs, output, kept=kept):
                before = args[0] if args else kwargs["hidden_states"]
                tensor = output[0] if isinstance(output, tuple) else output
                delta = (tensor - before).detach().requires_grad_(True)
                kept.append(delta)
                tensor = before.detach() + delta
                return (tensor, *output[1:]) if isinstance(output, tuple) else tensor

            handle = block.register_forward_hook(keep, with_kwargs=True)
            logits = model(input_ids=torch.tensor([example.ids])).logits[0, :-1]
            handle.remove()
            labels = torch.tensor(example.labels[1:])
            loss = torch.nn.functional.cross_entropy(logits[labels != -100], labels[labels != -100])
            (gradient,) = torch.autograd.grad(loss, kept)
            row.append(float((gradient * kept[0]).sum().detach()))
        rows.append(row)
    return torch.tensor(rows)
