"""The tool parser `hermes_or_json`: vLLM's own for Hermes' format, which also takes calls written without the tags.

`vllm ... --tool-parser-plugin headrace.models.engine.tool_parser --tool-call-parser hermes_or_json` loads it. As with
Hermes' own, text behind the first call is not passed on.
"""

from collections.abc import Sequence

from typing_extensions import override
from vllm.entrypoints.generate.base.protocol import DeltaMessage, ExtractedToolCallInformation
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest, ChatCompletionToolsParam
from vllm.tokenizers import TokenizerLike
from vllm.tool_parsers.abstract_tool_parser import Tool, ToolParserManager
from vllm.tool_parsers.hermes_tool_parser import Hermes2ProToolParser

from headrace.models.engine.retag import retag


class HermesOrJsonToolParser(Hermes2ProToolParser):
    """One per choice of a request. vLLM gives it the answer whole, or delta by delta and then asks it to finish."""

    # What makes vLLM call finish_streaming; it then passes deltas only and leaves their sum to the parser.
    engine_based_streaming = True

    def __init__(self, tokenizer: TokenizerLike, tools: list[Tool] | None = None) -> None:
        super().__init__(tokenizer, tools)
        # The chat endpoint nests a tool's name, the responses endpoint does not.
        self._names = frozenset(
            tool.function.name if isinstance(tool, ChatCompletionToolsParam) else tool.name for tool in self.tools
        )
        self._text = ""
        self._request: ChatCompletionRequest | None = None

    @override
    def extract_tool_calls(self, model_output: str, request: ChatCompletionRequest) -> ExtractedToolCallInformation:
        """Return the calls of a whole answer, or the answer as it is."""
        as_text = ExtractedToolCallInformation(tools_called=False, tool_calls=[], content=model_output)
        if request.tool_choice == "none":
            return as_text
        found = super().extract_tool_calls(retag(model_output, self._names, is_final=True), request)
        return found if found.tools_called else as_text

    @override
    def extract_tool_calls_streaming(
        self,
        previous_text: str,
        current_text: str,
        delta_text: str,
        previous_token_ids: Sequence[int],
        current_token_ids: Sequence[int],
        delta_token_ids: Sequence[int],
        request: ChatCompletionRequest,
    ) -> DeltaMessage | None:
        """Return what can be said after one more delta; what may become a call waits."""
        if request.tool_choice == "none":
            return DeltaMessage(content=delta_text) if delta_text else None
        self._text += delta_text
        self._request = request
        return self._told(retag(self._text, self._names), request)

    def finish_streaming(self) -> DeltaMessage | None:
        """Return what was held back and became no call: the answer ends here, for whatever reason."""
        text = retag(self._text, self._names, is_final=True)
        if self._request and self.tool_call_start_token in text:
            return self._told(text, self._request)
        rest = text[self._sent_content_idx :]
        return DeltaMessage(content=rest) if rest else None

    def _told(self, text: str, request: ChatCompletionRequest) -> DeltaMessage | None:
        return super().extract_tool_calls_streaming("", text, "", (), (), (), request)


ToolParserManager.register_module("hermes_or_json", module=HermesOrJsonToolParser)
