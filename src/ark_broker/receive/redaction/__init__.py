"""Redaction on the way in: what an operator does not want stored is removed before anything is stored or streamed.

Pure: no file is read here, and no state is kept but a Redactor's own.
"""

from ark_broker.receive.redaction.redactor import Redactor, compile_rules
from ark_broker.receive.redaction.rules import PatternRule, RedactionInvalid, RedactionRules, read_rules

__all__ = ["PatternRule", "RedactionInvalid", "RedactionRules", "Redactor", "compile_rules", "read_rules"]
