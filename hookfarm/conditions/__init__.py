"""Conditions on the arguments of an event: `value >= 1_000_000 and to == 0x…`. Pure.

    condition  = all {"or" all}
    all        = term {"and" term}
    term       = {"not"} ("(" condition ")" | operand | operand OPERATOR operand | operand ["not"] "in" list)
    OPERATOR   = "==" | "!=" | "<" | "<=" | ">" | ">="
    list       = "(" literal {"," literal} ")" | "[" literal {"," literal} "]"
    operand    = literal | argument | "length" "(" argument ")"
    argument   = NAME {"." NAME | "[" NUMBER "]"}
    literal    = ["-"] NUMBER | 0xHEX | "text" | 'text' | "true" | "false"

From text to test: `tokens` (words and their columns), `grammar` (the rules above), `arguments` and `literals`
(what a word means for the event at hand), `comparisons` (what may be compared), `syntax` (the checked
condition), `evaluation` (a function of it).

What the event cannot answer is refused when the condition is made, not found out when logs come: an unknown
argument, an address compared with `<`, a number that the argument's type cannot hold. Only how many members
an array has is for the log to tell: a comparison with a member that is not there is false, whatever its
operator.

An indexed string, bytes, array or tuple leaves only its hash in the log. `name == "Alice"` compares the hashes;
nothing else can be asked of it.
"""
