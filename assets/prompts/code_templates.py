"""Small Python functions written for this project: six topics by seven constructs, one template for each of the 42 pairs.

`$f` is the function's name, `$x` and `$y` are its words, `$k` is a constant; `build_prompts.py` fills them in.
"""

from __future__ import annotations

WORDS: dict[str, dict[str, list[str]]] = {
    "text": {"x": ["text", "sentence", "line", "word"], "y": ["letter", "mark", "symbol"], "k": ["3", "8", "20"]},
    "numbers": {"x": ["n", "number", "value", "amount"], "y": ["total", "result", "answer"], "k": ["2", "7", "10"]},
    "lists": {"x": ["items", "scores", "prices", "names"], "y": ["item", "entry", "one"], "k": ["1", "5", "12"]},
    "dictionaries": {
        "x": ["stock", "ages", "settings", "votes"],
        "y": ["key", "name", "field"],
        "k": ["0", "4", "100"],
    },
    "files": {"x": ["path", "filename", "source", "report"], "y": ["line", "row", "record"], "k": ["16", "80", "1024"]},
    "graphs": {"x": ["graph", "edges", "links", "roads"], "y": ["node", "place", "city"], "k": ["1", "3", "9"]},
}

# topic, construct, names of the function, source
TEMPLATES: list[tuple[str, str, list[str], str]] = [
    (
        "text", "for loop", ["count_$y", "how_many", "occurrences"],
        'def $f($x, $y):\n    """How often $y stands in $x."""\n    found = 0\n    for c in $x:\n        if c == $y:\n            found += 1\n    return found\n',
    ),
    (
        "text", "while loop", ["strip_left", "drop_padding", "trim_$y"],
        'def $f($x, $y=" "):\n    """Remove every $y from the start of $x."""\n    start = 0\n    while start < len($x) and $x[start] == $y:\n        start += 1\n    return $x[start:]\n',
    ),
    (
        "text", "comprehension", ["long_words", "words_above", "keep_long"],
        'def $f($x):\n    """The words of $x with more than $k letters, in capitals."""\n    return [w.upper() for w in $x.split() if len(w) > $k]\n',
    ),
    (
        "text", "recursion", ["is_palindrome", "same_backwards", "mirrors"],
        'def $f($x):\n    """Whether $x reads the same from both ends."""\n    if len($x) < 2:\n        return True\n    return $x[0] == $x[-1] and $f($x[1:-1])\n',
    ),
    (
        "text", "exception", ["to_number", "parse_$x", "read_number"],
        'def $f($x):\n    """The number that $x spells, or $k where it spells none."""\n    try:\n        return float($x.replace(",", "."))\n    except ValueError:\n        return $k.0\n',
    ),
    (
        "text", "generator", ["chunks", "windows", "slices_of_$x"],
        'def $f($x):\n    """Pieces of $x that are $k characters long."""\n    for start in range(0, len($x), $k):\n        yield $x[start : start + $k]\n',
    ),
    (
        "text", "class", ["Censor", "Redactor", "Filter"],
        'class $f:\n    """Hides one $y in every $x."""\n\n    def __init__(self, $y):\n        self.$y = $y\n\n    def apply(self, $x):\n        return $x.replace(self.$y, "*" * $k)\n',
    ),
    (
        "numbers", "for loop", ["factorial", "product_up_to", "multiply_all"],
        'def $f($x):\n    """Product of all whole numbers from 1 to $x."""\n    $y = 1\n    for i in range(2, $x + 1):\n        $y *= i\n    return $y\n',
    ),
    (
        "numbers", "while loop", ["digits_of", "count_digits", "length_in_base"],
        'def $f($x):\n    """Number of digits of $x in base $k."""\n    $y = 1\n    while $x >= $k:\n        $x //= $k\n        $y += 1\n    return $y\n',
    ),
    (
        "numbers", "comprehension", ["divisors", "factors_of", "divides"],
        'def $f($x):\n    """All divisors of $x that are at least $k."""\n    return [d for d in range($k, $x + 1) if $x % d == 0]\n',
    ),
    (
        "numbers", "recursion", ["power", "raise_to", "exponent"],
        'def $f($x, exponent):\n    """$x to the power of a whole exponent, by halving it."""\n    if exponent == 0:\n        return 1\n    half = $f($x * $x, exponent // 2)\n    return half * $x if exponent % 2 else half\n',
    ),
    (
        "numbers", "exception", ["ratio", "safe_divide", "share_of"],
        'def $f($x, other):\n    """$x divided by the other, or $k where that is zero."""\n    try:\n        $y = $x / other\n    except ZeroDivisionError:\n        return $k\n    return $y\n',
    ),
    (
        "numbers", "generator", ["collatz", "hailstone", "walk_down"],
        'def $f($x):\n    """Halve or triple $x until it is 1, at most ${k}00 times."""\n    for _ in range(${k}00):\n        yield $x\n        if $x == 1:\n            return\n        $x = 3 * $x + 1 if $x % 2 else $x // 2\n',
    ),
    (
        "numbers", "class", ["Account", "Counter", "Meter"],
        'class $f:\n    """Adds up each $x and warns above ${k}000."""\n\n    def __init__(self):\n        self.$y = 0\n\n    def add(self, $x):\n        self.$y += $x\n        return self.$y <= ${k}000\n',
    ),
    (
        "lists", "for loop", ["largest", "biggest_of", "highest"],
        'def $f($x):\n    """The largest of $x."""\n    best = $x[0]\n    for $y in $x:\n        if $y > best:\n            best = $y\n    return best\n',
    ),
    (
        "lists", "while loop", ["find_sorted", "binary_search", "position_of"],
        "def $f($x, $y):\n    low, high = 0, len($x)\n    while low < high:\n        middle = (low + high) // 2\n        if $x[middle] < $y:\n            low = middle + 1\n        else:\n            high = middle\n    return low\n",
    ),
    (
        "lists", "comprehension", ["every_nth", "without_first", "pairs_of"],
        'def $f($x):\n    """Neighbours in $x, after the first $k."""\n    rest = $x[$k:]\n    return [(a, b) for a, b in zip(rest, rest[1:])]\n',
    ),
    (
        "lists", "recursion", ["flatten", "unpack", "all_in"],
        'def $f($x):\n    """$x with every inner list opened."""\n    if not isinstance($x, list):\n        return [$x]\n    flat = []\n    for $y in $x:\n        flat += $f($y)\n    return flat\n',
    ),
    (
        "lists", "exception", ["at_index", "pick", "get_$y"],
        'def $f($x, index=$k):\n    """The $y at an index, or None past the end."""\n    try:\n        return $x[index]\n    except IndexError:\n        return None\n',
    ),
    (
        "lists", "generator", ["running_sums", "accumulate", "totals"],
        'def $f($x):\n    """Sum of $x so far, starting from $k."""\n    total = $k\n    for $y in $x:\n        total += $y\n        yield total\n',
    ),
    (
        "lists", "class", ["Queue", "Line", "Buffer"],
        'class $f:\n    """Holds at most $k $x, first in, first out."""\n\n    def __init__(self):\n        self.$x = []\n\n    def put(self, $y):\n        self.$x = [*self.$x, $y][-$k:]\n\n    def take(self):\n        return self.$x.pop(0)\n',
    ),
    (
        "dictionaries", "for loop", ["count_values", "tally", "group_by_value"],
        'def $f($x):\n    """How many keys of $x have each value."""\n    counts = {}\n    for value in $x.values():\n        counts[value] = counts.get(value, 0) + 1\n    return counts\n',
    ),
    (
        "dictionaries", "while loop", ["follow", "resolve", "last_of"],
        'def $f($x, $y):\n    """Look $y up in $x again and again, until it leads nowhere."""\n    while $y in $x:\n        $y = $x[$y]\n    return $y\n',
    ),
    (
        "dictionaries", "comprehension", ["invert", "swap", "turn_around"],
        'def $f($x):\n    """Values of $x above $k, each with its $y."""\n    return {value: $y for $y, value in $x.items() if value > $k}\n',
    ),
    (
        "dictionaries", "recursion", ["depth_of", "levels", "how_deep"],
        'def $f($x):\n    """How many dictionaries lie inside each other in $x."""\n    if not isinstance($x, dict) or not $x:\n        return 0\n    return 1 + max(map($f, $x.values()))\n',
    ),
    (
        "dictionaries", "exception", ["lookup", "require", "fetch_$y"],
        'def $f($x, $y):\n    """What $x holds for $y; a clear error where it holds nothing."""\n    try:\n        return $x[$y]\n    except KeyError as error:\n        raise ValueError(f"no {$y} among {len($x)}") from error\n',
    ),
    (
        "dictionaries", "generator", ["changes", "differences", "compare"],
        'def $f(old, new):\n    """Each $y whose value moved by more than $k."""\n    for $y in old:\n        if abs(old[$y] - new.get($y, 0)) > $k:\n            yield $y\n',
    ),
    (
        "dictionaries", "class", ["Cache", "Registry", "Store"],
        'class $f:\n    """Remembers $x, with $k as the default."""\n\n    def __init__(self, **$x):\n        self.$x = $x\n\n    def get(self, $y):\n        return self.$x.get($y, $k)\n',
    ),
    (
        "files", "for loop", ["count_lines", "number_of_rows", "measure"],
        'def $f($x):\n    """How many lines of the file are longer than $k characters."""\n    n = 0\n    with open($x) as file:\n        for $y in file:\n            n += len($y) > $k\n    return n\n',
    ),
    (
        "files", "while loop", ["checksum", "digest_of", "hash_file"],
        "def $f($x):\n    import hashlib\n\n    state = hashlib.sha256()\n    with open($x, \"rb\") as file:\n        while block := file.read($k):\n            state.update(block)\n    return state.hexdigest()\n",
    ),
    (
        "files", "comprehension", ["read_rows", "load_table", "split_lines"],
        'def $f($x):\n    """The cells of each $y, without what is longer than $k."""\n    with open($x) as file:\n        return [$y.strip().split(",") for $y in file if len($y) <= $k]\n',
    ),
    (
        "files", "recursion", ["size_of", "bytes_under", "disk_use"],
        'def $f($x):\n    """Bytes in a file, or in all files of a folder, in units of $k."""\n    if $x.is_file():\n        return $x.stat().st_size / $k\n    return sum($f(inner) for inner in $x.iterdir())\n',
    ),
    (
        "files", "exception", ["read_or_empty", "load_text", "contents"],
        'def $f($x):\n    """The first $k characters of the file, or nothing where it is missing."""\n    try:\n        with open($x) as file:\n            return file.read($k)\n    except FileNotFoundError:\n        return ""\n',
    ),
    (
        "files", "generator", ["comments", "marked_lines", "only_notes"],
        'def $f($x):\n    """Each $y that begins with a hash sign, cut at $k."""\n    with open($x) as file:\n        for $y in file:\n            if $y.startswith("#"):\n                yield $y[:$k]\n',
    ),
    (
        "files", "class", ["Log", "Journal", "Writer"],
        'class $f:\n    """Appends to a file, at most $k characters a $y."""\n\n    def __init__(self, $x):\n        self.$x = $x\n\n    def add(self, $y):\n        with open(self.$x, "a") as file:\n            file.write($y[:$k] + "\\n")\n',
    ),
    (
        "graphs", "for loop", ["degrees", "count_neighbours", "connections"],
        'def $f($x):\n    """How many ways lead out of each $y, if more than $k."""\n    found = {}\n    for $y, others in $x.items():\n        if len(others) > $k:\n            found[$y] = len(others)\n    return found\n',
    ),
    (
        "graphs", "while loop", ["reachable", "explore", "spread_from"],
        "def $f($x, start):\n    seen, todo = {start}, [start]\n    while todo:\n        $y = todo.pop()\n        new = set($x[$y]) - seen\n        seen |= new\n        todo += new\n    return seen\n",
    ),
    (
        "graphs", "comprehension", ["reverse", "turned", "backwards"],
        'def $f($x):\n    """Every $y with those that point to it."""\n    return {$y: {other for other in $x if $y in $x[other]} for $y in $x}\n',
    ),
    (
        "graphs", "recursion", ["has_path", "connected", "leads_to"],
        'def $f($x, $y, goal, steps=$k):\n    """Whether goal can be reached from $y in so many steps."""\n    if $y == goal or steps == 0:\n        return $y == goal\n    return any($f($x, other, goal, steps - 1) for other in $x[$y])\n',
    ),
    (
        "graphs", "exception", ["add_edge", "join", "connect"],
        'def $f($x, a, b):\n    """Join a and b, for which each must be a known $y."""\n    try:\n        $x[a].add(b)\n        $x[b].add(a)\n    except KeyError as error:\n        raise ValueError(f"unknown $y {error}") from None\n',
    ),
    (
        "graphs", "generator", ["leaves", "dead_ends", "last_stops"],
        'def $f($x):\n    """Each $y from which fewer than $k ways lead on."""\n    for $y in sorted($x):\n        if len($x[$y]) < $k:\n            yield $y\n',
    ),
    (
        "graphs", "class", ["Node", "Station", "Crossing"],
        'class $f:\n    """One $y and its neighbours, $k at most."""\n\n    def __init__(self, name):\n        self.name, self.$x = name, []\n\n    def join(self, other):\n        if len(self.$x) < $k:\n            self.$x.append(other)\n',
    ),
]  # fmt: skip
