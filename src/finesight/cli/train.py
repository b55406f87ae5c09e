"""`finesight train`: train the networks that finesight uses, from a dataset to a bundle."""

import typer

from finesight.cli.train_encoder import encoder
from finesight.cli.train_finder import finder, objectness
from finesight.cli.train_fusion import fusion
from finesight.cli.train_items import items
from finesight.cli.train_matcher import matcher

app = typer.Typer(
    no_args_is_help=True, help="Train encoders, finders, fusions, matchers and items."
)


@app.callback()
def train() -> None:
    """Train the networks that finesight uses; needs PyTorch."""


for command in (encoder, finder, fusion, matcher, items):
    app.command()(command)
app.command("objectness", hidden=True)(objectness)
