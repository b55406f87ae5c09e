"""The closed classes of English that take a query apart: how things stand, look and are worn."""


def _words(line: str) -> frozenset[str]:
    return frozenset(line.split())


_STANDING = {
    "left": "to the left of|on the left side of|on the left of|left of",
    "right": "to the right of|on the right side of|on the right of|right of",
    "front": "in front of|closer than|nearer than",
    "behind": "behind|farther away than|further away than|farther than",
    "above": "above|over",
    "below": "below|under|underneath|beneath",
    "on": "on top of",
    "near": "next to|close to|beside|near|between",
    "": "and|plus|&|,|;|.",
}
RELATIONS = {words: how for how, listed in _STANDING.items() for words in listed.split("|")}
"""Words between two things, and how the first one stands to the second; "" says nothing of it."""

LOOSE = {"on": "on"} | dict.fromkeys(_words("in inside within at by with against"), "near")
"""The same, but they also join what one region shows (a dog in snow), so more is needed."""

JOINERS = frozenset({"and", "or", ",", "&"})
TRAILING = _words("and or with is are was were in on at of to")
"""Words that say nothing where they end a part."""

WEARING = frozenset({"in", "with", "wearing"})
NEGATIONS = frozenset({"no", "not", "without"})
DETERMINERS = _words("a an the some any my your his her its their our this that these those one")

COLORS = _words(
    "red blue green yellow white black gray grey brown purple violet cyan orange pink beige gold "
    "golden silver turquoise teal maroon navy tan crimson scarlet magenta cream blond blonde "
    "colorful colourful multicolored"
)
ATTRIBUTES = COLORS | _words(
    "small tiny little medium large big huge tall short long wide narrow round square old young "
    "new wooden metal metallic plastic glass leather matte rubber shiny dull dark light bright "
    "striped plaid checkered spotted wet dirty empty full open closed broken"
)

BEGINNING = COLORS | _words("small tiny little medium large big huge wooden metal")
"""Attributes that stand before a thing, and hardly ever behind one."""

ANIMATE = _words(
    "man woman person boy girl child kid baby toddler guy lady gentleman people men women boys "
    "girls children kids player rider worker bride groom dog cat puppy teenager student"
)
WORN = _words(
    "hat cap helmet shirt tshirt t-shirt dress coat jacket scarf tie suit skirt shorts pants "
    "trousers jeans shoes boots socks gloves glasses sunglasses goggles sweater sweatshirt hoodie "
    "vest uniform jersey apron robe hair beard mustache collar top bikini swimsuit outfit clothes "
    "clothing"
)

OPENINGS = (
    r"(?:(?:show|find|give)(?: me)? )?(?:(?:an?|the|some|my) )?"
    r"(?:photos?|pictures?|images?|scenes?|renderings?|views?)"
    r"(?: of| with| that shows?| showing| containing)|there (?:is|are)(?: also)?|(?:show|find) me"
)
ENDINGS = (
    r"(?:,? and (?:nothing else|no other (?:object|thing)s?)| only| alone"
    r"| in (?:the|this) (?:image|photo|picture|scene))"
)
"""Patterns of what stands around a query and says nothing of what is shown."""
