"""Conditions on the arguments of an event: `value >= 1_000_000 and to == 0x…`. Pure.

    condition  = all {"or" all}
    all        = term {"and" term}
    term       = {"not"} ("(" condition ")" | operand | operand OPERATOR operand | operand ["not"] "in" list)
    OPERATOR   = "==" | "!=" | "<" | "<=" | ">" | ">="
    list       = "(" literal {"," literal} ")" | "[" literal {"," literal} "]"
    operand    = literal | argument | "length" "(" argument ")"
    argument   = NAME {"." NAME | "[" NUMBER "]"}
    literal    = ["-"] NUMBER | 0xHEX | "text" | 'text' | "true" | "false"

From text to test: `literals` (tokens and their values), `grammar` (the rules above), `comparisons` (arguments, and
what may be compared), `condition` (the checked condition and its test).

Errors are found when the condition is created, not when logs come: an unknown argument, an address compared with
`<`, a number that the argument's type cannot hold. Only the number of members of an array is known from the log
alone: a comparison with a missing member is false, whatever its operator.

An indexed string, bytes, array or tuple leaves only its hash in the log. `name == "Alice"` compares the hashes;
nothing else can be asked of it.
"""
