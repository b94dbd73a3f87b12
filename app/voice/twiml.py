"""The three things that the carrier can be told (docs/protocols.md, "TwiML")."""

from __future__ import annotations

from dataclasses import dataclass

from twilio.twiml.voice_response import VoiceResponse

from app.settings import Settings
from app.voice.phrases import Phrases


@dataclass(frozen=True, slots=True)
class CallUrls:
    """Where the carrier goes next: the media WebSocket, and the webhook for when it has closed."""

    media: str
    after_stream: str

    @classmethod
    def from_settings(cls, settings: Settings) -> CallUrls:
        """The public URLs of this deployment."""
        return cls(media=settings.media_public_url, after_stream=f"{settings.public_base_url}/voice/after")


def open_stream(urls: CallUrls, media_token: str) -> str:
    """Open the media stream. No verb follows: what happens after the stream is `action`'s answer alone.

    The token travels as a parameter, because a query in the URL is refused with error 31920.
    """
    response = VoiceResponse()
    connect = response.connect(action=urls.after_stream, method="POST")
    connect.stream(url=urls.media).parameter(name="token", value=media_token)
    return str(response)


def say_goodbye(phrases: Phrases, sentence: str) -> str:
    """Say `sentence` (of `phrases`) and end the call."""
    response = VoiceResponse()
    response.say(sentence, language=phrases.language, voice=phrases.voice)
    response.hangup()
    return str(response)


def hang_up() -> str:
    """End the call without a word: the farewell was heard in the stream."""
    response = VoiceResponse()
    response.hangup()
    return str(response)
