"""The carrier's webhooks: an incoming call in, TwiML out."""
