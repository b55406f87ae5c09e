"""`finesight serve`: search in the browser, and over HTTP."""

from typing import Annotated

import typer

from finesight.cli.options import collection_folder
from finesight.cli.output import say


def serve(
    collection: Annotated[
        list[str] | None,
        typer.Option("--collection", help="As for search, several times for several collections."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen on; 0.0.0.0 for the whole network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="FINESIGHT_TOKEN",
            help="What a caller has to know. Beyond this machine one is always needed, and made "
            "where none is given.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A further name by which this server is reached, such as pics.lan."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="A site whose pages may ask this server, such as https://intra.lan."),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Serve collections to browsers and programs; a folder may be indexed meanwhile.

    Examples:

      finesight serve --collection pics --open

      finesight serve --collection pics --host 0.0.0.0    # prints the address with its token
    """
    from finesight.errors import need

    need("finesight.server.running", "serving needs a web server", "server")
    from finesight.server.running import bind, run, token_for, url_of
    from finesight.server.settings import Settings

    settings = Settings(
        collections=tuple(collection_folder(each) for each in collection or (None,)),
        host=host,
        names=tuple(allow_host or ()),
        origins=tuple(allow_origin or ()),
        token=token_for(host, token),
    )
    for folder in settings.collections:
        if not (folder / "collection.json").exists():
            say(f"nothing is in {folder} yet: finesight index FOLDER --collection {folder}")
    listening = bind(host, port)
    url = url_of(listening, settings)

    def ready() -> None:
        say(f"finesight is at {url} (Ctrl+C stops it)")
        if open_page:
            import webbrowser

            webbrowser.open(url)

    run(settings, listening, ready)
    say("stopped")
