"""The page at `/`: files of this package, which ask the interface beside them and nothing else."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles

FILES = Path(__file__).with_name("page")
# No inline script or style, nothing from elsewhere, and no text that becomes HTML or a script.
_POLICY = (
    "default-src 'self'; object-src 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


def add_page(app: FastAPI) -> None:
    """Serve the page, and its files at `/page/`. Neither is in the schema of the interface."""

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page() -> FileResponse:
        headers = {"content-security-policy": _POLICY}
        return FileResponse(FILES / "index.html", media_type="text/html", headers=headers)

    app.mount("/page", StaticFiles(directory=FILES), name="page")
