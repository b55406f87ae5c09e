"""Region proposal: which boxes of an image are encoded, chosen by a name such as "cc10".

`REGISTRY` holds a builder for each kind of proposer; to add one, write a builder and put it there.
"""

from finesight.proposals.proposer import Proposals, Proposer, encode_proposals
from finesight.proposals.registry import EFFORTS, REGISTRY, parse_proposer, resolve_effort, sparing

__all__ = [
    "EFFORTS",
    "REGISTRY",
    "Proposals",
    "Proposer",
    "encode_proposals",
    "parse_proposer",
    "resolve_effort",
    "sparing",
]
