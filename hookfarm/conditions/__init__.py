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
comparable types), `condition` (the checked condition and its test).

Errors are raised when the condition is created, not when logs arrive: an unknown argument, an address compared
with `<`, a number outside the argument's type. Only the length of an array depends on the log: every comparison
with a missing member is false.

For an indexed string, bytes, array or tuple a log contains only the hash. `name == "Alice"` compares the hashes;
no other comparison is possible.
"""
