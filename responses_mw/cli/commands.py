"""The subcommands and their options. What they do is in the file of the same name."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from responses_mw.cli.export import export
from responses_mw.cli.keys import keys
from responses_mw.cli.purge import purge
from responses_mw.cli.usage import usage
from responses_mw.errors import ConfigurationError

app = typer.Typer(
    name="responses-mw",
    help="The Responses API over any model provider, with conversations that are kept.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="RESPONSES_MW_CONFIG",
        help="Models and keys, in LiteLLM's shape (YAML).",
    ),
]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="sqlite:///file.db, postgresql://... or memory://. "
        "Else RESPONSES_MW_STORE, the file's database_url, or SQLite in your data folder.",
    ),
]


def run() -> None:
    try:
        app()
    except ConfigurationError as error:
        sys.exit(f"responses-mw: {error.message}")


@app.command()
def serve(
    *,
    config: Config = None,
    store: Store = None,
    host: Annotated[
        str, typer.Option(envvar="RESPONSES_MW_HOST", help="The address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(envvar="RESPONSES_MW_PORT", min=0, max=65535, help="0 takes any free one."),
    ] = 4000,
    workers: Annotated[
        int, typer.Option(envvar="RESPONSES_MW_WORKERS", min=1, help="How many processes serve.")
    ] = 1,
    api_key: Annotated[
        str | None,
        typer.Option(
            help="What clients must send. Else RESPONSES_MW_MASTER_KEY, or the file's master_key. "
            "Without one, only this machine may connect."
        ),
    ] = None,
    log: Annotated[
        str | None,
        typer.Option(
            help="text or json: one line on stderr for every response that has ended. "
            "Else RESPONSES_MW_LOG, or none."
        ),
    ] = None,
) -> None:
    """Serve the Responses API; without any configuration, with a small model of its own."""
    from responses_mw.cli.serve import serve
    from responses_mw.cli.serving import Serving

    serving = Serving.resolve(config_file=config, store=store, key=api_key, log=log)
    serve(serving, host=host, port=port, workers=workers)


@app.command()
def chat(
    *,
    url: Annotated[
        str | None, typer.Option(help="A running server. Else one is started in this process.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Else the server's first.")] = None,
    api_key: Annotated[
        str | None, typer.Option(help="The server's key. Else RESPONSES_MW_MASTER_KEY.")
    ] = None,
    continue_from: Annotated[
        str | None, typer.Option("--continue", help="The id of a response to go on from.")
    ] = None,
    config: Config = None,
    store: Store = None,
) -> None:
    """Talk to a model in the terminal. /help lists what else can be said."""
    from responses_mw.cli.chat import chat

    chat(
        url=url,
        model=model,
        key=api_key,
        continue_from=continue_from,
        config_file=config,
        store=store,
    )


@app.command()
def check_config(
    file: Annotated[Path, typer.Argument(help="The configuration to read.")],
) -> None:
    """Say what is wrong in a configuration, and what of it has no effect; serve nothing."""
    from responses_mw import config
    from responses_mw.cli.serving import import_beside

    import_beside(file)
    loaded = config.load(file)
    for name, deployments in loaded.models.items():
        print(f"{name}: {len(deployments)} deployment{'s' if len(deployments) > 1 else ''}")


@app.command()
def fetch_model() -> None:
    """Bring the weights of the local model into your cache, once."""
    from responses_mw.cli.serving import fetch_weights

    print(fetch_weights())


app.add_typer(keys, name="keys", no_args_is_help=True)
for command in (usage, purge, export):
    app.command()(command)
