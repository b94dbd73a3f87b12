"""The synthetic caller: speaks over the line, listens to what comes back, and knows nothing else of the call."""

from __future__ import annotations

import threading

from worker.rehearsal.phone import Phone
from worker.rehearsal.speaking.ears import Recogniser
from worker.rehearsal.speaking.listening import recognise_number
from worker.rehearsal.speaking.phrases import ONE_DIGIT
from worker.rehearsal.speaking.voice import CALLER_VOICE, speak

NAME = "David Cohen"
REQUEST = "I would like to book an appointment please"
CHOICE = "the first one please"
INTRODUCTION = f"my name is {NAME}"
FAREWELL = "thank you, goodbye"

TURN_END_MS = 700.0  # longer than any pause inside what the bot says
ANSWER_WITHIN_S = 15.0
SENTENCE_WITHIN_S = 40.0
LISTEN_BEFORE_INTERRUPTING_MS = 1800.0
TRIES = 3


class CallFailed(Exception):
    """The call did not go as a caller expects; one line."""


class DemoCaller:
    """Books an appointment; interrupts once, in the middle of the offers. Returns the number that was heard."""

    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self._recogniser = Recogniser(processes=1)
        threading.Thread(target=self._recogniser.warm, args=(ONE_DIGIT,), daemon=True).start()

    def talk(self) -> int:
        """The whole conversation, up to the farewell; the appointment's number as the phone's audio says it."""
        try:
            return self._talk()
        finally:
            self._recogniser.close()

    def _talk(self) -> int:
        self._listen("the greeting")
        self._say(REQUEST)
        self._interrupt_the_offers()
        self._listen("the question for the name")
        number = self._give_name()
        self._say(FAREWELL)
        self._listen("the farewell")
        return number

    def _interrupt_the_offers(self) -> None:
        self._await_voice("the offers")
        self._pause(LISTEN_BEFORE_INTERRUPTING_MS)
        self._say(CHOICE)

    def _give_name(self) -> int:
        for _ in range(TRIES):
            begin = len(self._phone.heard)
            self._say(INTRODUCTION)
            self._listen("the confirmation")
            number = recognise_number(self._recogniser, self._phone.heard[begin:])
            if number is not None:
                return number
        raise CallFailed("the caller heard no appointment number")

    def _say(self, text: str) -> None:
        self._phone.say(speak(text, voice=CALLER_VOICE))
        if not self._phone.wait_until(lambda: not self._phone.speaking, ANSWER_WITHIN_S):
            raise CallFailed("the line broke while the caller spoke")

    def _listen(self, what: str) -> None:
        """Until something was said, and then nothing for a while."""
        self._await_voice(what)
        if not self._phone.wait_until(lambda: self._phone.quiet_for_ms() >= TURN_END_MS, SENTENCE_WITHIN_S):
            raise CallFailed(f"{what} did not end")

    def _await_voice(self, what: str) -> None:
        if not self._phone.wait_until(lambda: self._phone.quiet_for_ms() == 0, ANSWER_WITHIN_S):
            raise CallFailed(f"the caller waited for {what} and heard nothing")

    def _pause(self, ms: float) -> None:
        end = self._phone.now_ms + ms
        self._phone.wait_until(lambda: self._phone.now_ms >= end, ms / 1000 + 1)
