"""`finesight serve`: search in the browser, and over HTTP."""

from typing import Annotated

from finesight.cli.options import collection_folder, option
from finesight.cli.output import say
from finesight.errors import need


def serve(
    collection: Annotated[
        list[str] | None,
        option("As for search, several times for several collections.", "--collection"),
    ] = None,
    host: Annotated[
        str, option("The address to listen on; 0.0.0.0 for the whole network.")
    ] = "127.0.0.1",
    port: Annotated[int, option("0 takes any that is free.", min=0, max=65535)] = 8000,
    token: Annotated[
        str | None,
        option(
            "What a caller has to know. Beyond this machine one is always needed, and made "
            "where none is given.",
            envvar="FINESIGHT_TOKEN",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        option("A further name by which this server is reached, such as pics.lan."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        option("A site whose pages may ask this server, such as https://intra.lan."),
    ] = None,
    open_page: Annotated[bool, option("Open the page in a browser.", "--open")] = False,
) -> None:
    """Serve collections to browsers and programs; a folder may be indexed meanwhile.

    Examples:

      finesight serve --collection pics --open

      finesight serve --collection pics --host 0.0.0.0    # prints the address with its token
    """
    running = need("finesight.server.running", "serving needs a web server", "server")
    from finesight.server.settings import Settings

    settings = Settings(
        collections=tuple(collection_folder(each) for each in collection or (None,)),
        host=host,
        names=tuple(allow_host or ()),
        origins=tuple(allow_origin or ()),
        token=running.token_for(host, token),
    )
    for folder in settings.collections:
        if not (folder / "collection.json").exists():
            say(f"nothing is in {folder} yet: finesight index FOLDER --collection {folder}")
    listening = running.bind(host, port)
    url = running.url_of(listening, settings)

    def ready() -> None:
        say(f"finesight is at {url} (Ctrl+C stops it)")
        if open_page:
            import webbrowser

            webbrowser.open(url)

    running.run(settings, listening, ready)
    say("stopped")
