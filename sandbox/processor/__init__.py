"""A payment processor that speaks the slice of Stripe's API that a subscription platform calls. Moves no money."""

from sandbox.processor.server import processor, run
from sandbox.processor.settings import Settings, WrongSetting
from sandbox.serving import Listen

__all__ = ["Listen", "Settings", "WrongSetting", "processor", "run"]
