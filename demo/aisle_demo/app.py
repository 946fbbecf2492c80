"""The page and the web application that hosts it. Talks to the server through `aisle_client` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import gradio as gr
from fastapi import FastAPI
from gradio.utils import get_upload_folder

from aisle_client import Categorization, Categorizer, ClientError, PictureError, RequestError
from aisle_demo.answer import (
    WELCOME,
    ReviewEntry,
    answer_html,
    away_html,
    error_dict,
    error_html,
    review_entry,
    review_html,
    status_html,
)
from aisle_demo.examples import EXAMPLES

_STYLE: Final = Path(__file__).parent / "style.css"
_FONTS: Final = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "Noto Sans Arabic", "sans-serif"]
_MONOSPACED: Final = ["ui-monospace", "Cascadia Mono", "Menlo", "Noto Sans Mono", "monospace"]
_MAX_PICTURE: Final = "20mb"
# What the page can ask for, in the order of its fields, and what it asks for when the server does not say.
_INPUTS: Final = ("image", "title", "description")
_USUAL_INPUTS: Final = ("image", "title")
# What a visitor has waiting for review goes with the page, and the oldest goes first.
_MAX_WAITING: Final = 100
# A visitor's picture is gone from this machine an hour after it came.
_KEEP_UPLOADS_S: Final = 3600
_STATUS_EVERY_S: Final = 15
# A glance at the status waits less than a visitor's question.
_STATUS_TIMEOUT_S: Final = 3.0


def build_page(categorizer: Categorizer) -> gr.Blocks:
    """Lay the page out.

    Args:
        categorizer: Asks the server; stays open as long as the page.
    """
    address = categorizer.client.options.target

    def categorize(
        picture: dict[str, Any] | None, title: str, precision: float | None = None, description: str = ""
    ) -> tuple[str, dict[str, Any]]:
        """Categorize a product by its picture, its title, or both."""
        try:
            answer: Categorization = categorizer.categorize(
                title, _uploaded(picture), texts={"description": description}, precision=precision
            )
        except ClientError as error:
            return error_html(error, address), error_dict(error)
        return answer_html(answer), answer.as_dict()

    def offer_precisions() -> dict[str, Any]:
        """Offer the precisions that the model has thresholds for; none without any."""
        try:
            policy = categorizer.policy(timeout_s=_STATUS_TIMEOUT_S)
        except ClientError:
            policy = None
        offered = policy.precisions if policy else []
        choices = [(f"{precision:.0%}", precision) for precision in offered]
        update: dict[str, Any] = gr.update(choices=choices, value=min(offered, default=None), visible=bool(offered))
        return update

    def fit_to_model() -> list[dict[str, Any]]:
        """Show what the model takes and hide what it does not; examples have a title or a picture, so it takes both or none show."""
        try:
            inputs = categorizer.inputs(timeout_s=_STATUS_TIMEOUT_S)
        except ClientError:
            inputs = _USUAL_INPUTS
        shown = [*(name in inputs for name in _INPUTS), set(_USUAL_INPUTS) <= set(inputs)]
        return [gr.update(visible=is_shown) for is_shown in shown]

    def keep_for_review(plain: Any, title: str, waiting: list[ReviewEntry]) -> tuple[list[ReviewEntry], str]:
        """Keep an answer that is not automatic in the visitor's list."""
        entry = review_entry(plain, title)
        if entry is not None:
            waiting = [*waiting, entry][-_MAX_WAITING:]
        return waiting, review_html(waiting)

    def status() -> str:
        """Say whether the server is ready, and which models it has."""
        try:
            is_ready = categorizer.client.is_server_ready(timeout_s=_STATUS_TIMEOUT_S)
            models = categorizer.client.repository_index(timeout_s=_STATUS_TIMEOUT_S)
        except RequestError:
            return away_html(address)
        return status_html(models, is_ready, address)

    with gr.Blocks(title="Aisle", analytics_enabled=False, delete_cache=(_KEEP_UPLOADS_S, _KEEP_UPLOADS_S)) as page:
        gr.HTML("<h1>Aisle</h1><p>Which aisle does it belong to?</p>", elem_id="aisle-head")
        line = gr.HTML(elem_id="aisle-status")
        with gr.Row():
            with gr.Column(scale=5, min_width=300):
                picture = gr.Image(
                    label="Picture",
                    type="filepath",
                    sources=["upload", "clipboard", "webcam"],
                    height=300,
                    buttons=[],
                    elem_id="aisle-picture",
                )
                title = gr.Textbox(
                    label="Title", placeholder="What the shop calls it", lines=2, max_lines=6, elem_id="aisle-title"
                )
                description = gr.Textbox(
                    label="Description", lines=3, max_lines=12, visible=False, elem_id="aisle-description"
                )
                precision = gr.Radio(
                    label="Answer automatically at a precision of", visible=False, elem_id="aisle-precision"
                )
                with gr.Row():
                    clear = gr.ClearButton(
                        [picture, title, description], value="Clear", elem_id="aisle-clear", scale=1, min_width=90
                    )
                    ask = gr.Button("Categorize", variant="primary", elem_id="aisle-ask", scale=2, min_width=150)
            with gr.Column(scale=6, min_width=300):
                answer = gr.HTML(WELCOME, elem_id="aisle-answer")
                with gr.Accordion("The answer as JSON", open=False):
                    plain = gr.JSON(show_label=False)
                review = gr.HTML(elem_id="aisle-review")
        waiting = gr.State([])
        asked = gr.on(
            [ask.click, title.submit],
            categorize,
            inputs=[picture, title, precision, description],
            outputs=[answer, plain],
            preprocess=False,
            api_name="categorize_for_a_visitor",
            api_visibility="private",
            show_progress_on=answer,
        )
        # What programs call: it has no list and no choice of precision. Nobody sees the button, nor presses it.
        gr.Button(visible=False).click(
            categorize, inputs=[picture, title], outputs=[answer, plain], preprocess=False, api_name="categorize"
        )
        examples = gr.Examples(
            [[example.path, example.title] for example in EXAMPLES],
            inputs=[picture, title],
            cache_examples=False,
            api_visibility="private",
            label="Try one of these",
            elem_id="aisle-examples",
        )
        shown = examples.load_input_event.then(
            categorize,
            inputs=[picture, title, precision, description],
            outputs=[answer, plain],
            preprocess=False,
            api_name="categorize_for_a_visitor",
            api_visibility="private",
            show_progress_on=answer,
        )
        for answered in (asked, shown):
            answered.then(
                keep_for_review,
                inputs=[plain, title, waiting],
                outputs=[waiting, review],
                api_visibility="private",
                show_progress="hidden",
            )
        clear.click(lambda: (WELCOME, None), outputs=[answer, plain], api_visibility="private", queue=False)
        page.load(
            fit_to_model,
            outputs=[picture, title, description, examples.dataset],
            api_visibility="private",
            show_progress="hidden",
        )
        page.load(offer_precisions, outputs=precision, api_visibility="private", show_progress="hidden")
        page.load(status, outputs=line, api_name="status", show_progress="hidden")
        gr.Timer(_STATUS_EVERY_S).tick(status, outputs=line, api_visibility="private", show_progress="hidden")
    page.queue(max_size=64, default_concurrency_limit=4)
    return page


def create_application(page: gr.Blocks) -> FastAPI:
    """Return the web application that hosts the page: no telemetry, no records of visits, no files but the page's own."""
    application = FastAPI(title="Aisle", openapi_url=None)
    hosted: FastAPI = gr.mount_gradio_app(
        application,
        page,
        path="/",
        max_file_size=_MAX_PICTURE,
        show_error=False,
        run_history=False,
        ssr_mode=False,
        footer_links=["api"],
        theme=_theme(),
        css=_STYLE.read_text(encoding="utf-8"),
    )
    # `launch` says so; mounted, Gradio would take any path of this machine for an upload, and copy it to where visitors read.
    page.has_launched = True
    return hosted


def _uploaded(picture: dict[str, Any] | None) -> Path | None:
    """Return where a visitor's picture lies.

    Events hand the picture on as it came: in preprocessing Gradio would open it, and on failure name its folders to the
    visitor. Whether a file is a picture is for the server to say.

    Raises:
        PictureError: The path is none of an upload; visitors write it themselves when they call the page's API.
    """
    if not picture:
        return None
    path = Path(str(picture.get("path"))).resolve()
    if not path.is_relative_to(Path(get_upload_folder()).resolve()):
        raise PictureError("it was not uploaded here")
    return path


def _theme() -> gr.themes.Base:
    theme = gr.themes.Base(primary_hue="teal", neutral_hue="stone", font=_FONTS, font_mono=_MONOSPACED)
    # The palette's own choices fall short of the contrast that small and white text needs (WCAG 2.2, 4.5 to 1).
    return theme.set(
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_text_color="white",
        color_accent="*primary_600",
    )
