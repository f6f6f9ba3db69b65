"""A `ServerRules` laid out for the compiled dialogue; made once for each set of rules."""

from cpython.bytes cimport PyBytes_AS_STRING


cdef class CompiledRules:
    """See the head of server_rules.pxd."""

    def __init__(self, rules):
        cdef int i
        # Imported here: smtp is a storey above, and hands its facts down through the rules' own modules.
        from fastsmtp.smtp import grammar, handler, limits, states, xclient
        from fastsmtp.smtp import rules as rules_module

        self.rules = rules
        self.table = states.TABLE
        self.refusals = states.REFUSALS
        self.pending = handler.PENDING
        self.challenge = handler.Challenge
        self.parse_hello = grammar.parse_hello
        self.parse_xclient = xclient.parse
        self.foreign = rules_module.FOREIGN
        self.faults = tuple(rules_module.BODY_FAULTS.get(i) for i in range(4))
        self.gate = rules.gate
        self.greeting = rules.greeting
        self.hello = rules.hello
        self.extended_hello = rules.extended_hello
        self.size = rules.size
        self.recipients = rules.recipients
        self.errors = rules.errors
        self.line_hard = rules.line_hard
        self.line_skipped = limits.LINE_SKIPPED
        self.output = limits.OUTPUT
        self.chunk_digits = limits.CHUNK_DIGITS
        self.lmtp = rules.lmtp
        self.longer = {}
        for i in range(COMMANDS):
            verb = states.VERBS[i]
            self.line_limits[i] = rules.line_limit(states.Command(i))
            self.verbs[i] = 0
            if states.Command(i) not in rules.offered:
                continue
            if len(verb) == 4:
                self.verbs[i] = verb_code(<const unsigned char*>PyBytes_AS_STRING(verb))
            else:
                self.longer[verb] = i


cdef CompiledRules compile_rules(rules):
    found = rules.compiled
    if found is None:
        found = CompiledRules(rules)
        object.__setattr__(rules, "compiled", found)
    return found
