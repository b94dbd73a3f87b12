"""What the rehearsal understands: the words, and the grammar that the recogniser listens by.

Dialogue and grammar are made of the same data, so whatever is recognised can be understood.
"""

from __future__ import annotations

from collections.abc import Iterable

FIRST_NAMES = (
    "adam", "anna", "daniel", "david", "diana", "emma", "helen", "jonathan", "julia", "laura",
    "martin", "maya", "michael", "nina", "oscar", "rachel", "robert", "sarah", "simon", "victor",
)  # fmt: skip
LAST_NAMES = (
    "baker", "brown", "carter", "clark", "cohen", "friedman", "goldberg", "green", "harris", "katz",
    "king", "levy", "lewis", "miller", "rosen", "taylor", "walker", "wilson", "wright", "young",
)  # fmt: skip
ORDINALS = {"first": 0, "second": 1, "third": 2}
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
HOURS = {
    "one": 13, "two": 14, "three": 15, "four": 16, "five": 17, "six": 18, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12,
}  # fmt: skip
MINUTES = {"o'clock": 0, "thirty": 30}
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# Shown to people who try a call, so that they know what to say.
KNOWN_PHRASES = (
    "I would like to book an appointment please",
    "What about tomorrow",
    "Do you have anything on Monday at ten o'clock",
    "The first one please",
    "My name is David Cohen",
    "Please repeat that",
    "Thank you, goodbye",
)


def _either(words: Iterable[str]) -> str:
    return " | ".join(words)


# JSGF wants a newline after its header.
SENTENCES = f"""#JSGF V1.0;
grammar sentences;
public <sentence> = <request> | <choice> | <wish> | <name> | <repeat> | <farewell>;
<request> = (i would like | i want | i need | can i have) [to book | to make] an appointment [please]
          | can i book an appointment [please];
<choice> = [i will take | i would like] the <ordinal> one [please];
<wish> = (what about | how about | do you have anything) <when> [please];
<name> = (my name is | this is) <first> <last>;
<repeat> = [please] repeat that [please] | say that again [please];
<farewell> = [thank you] goodbye | thank you [very much] [goodbye];
<ordinal> = {_either(ORDINALS)};
<when> = <day> | <day> <time> | <time>;
<day> = today | tomorrow | [on] ({_either(WEEKDAYS)});
<time> = [at] ({_either(HOURS)}) ({_either(MINUTES)});
<first> = {_either(FIRST_NAMES)};
<last> = {_either(LAST_NAMES)};
"""

ONE_DIGIT = f"""#JSGF V1.0;
grammar digit;
public <digit> = {_either(DIGITS)};
"""
