"""Let Great Expectations check a suite; who is gated by which severity is decided elsewhere."""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from transfer.data.expectations import Expectation, Finding
from transfer.errors import EnvironmentFault

if TYPE_CHECKING:
    import pandas as pd

N_EXAMPLES = 10
_LONGEST_SHOWN = 24


def run_expectations(
    tables: Mapping[str, "pd.DataFrame"], keys: Mapping[str, str], suite: Sequence[Expectation]
) -> tuple[Finding, ...]:
    """Check every expectation on its table, in memory: nothing is written and nothing is sent.

    Args:
        tables: name -> data frame.
        keys: name -> the column that says which row it is.
        suite: what to check.

    Returns:
        one finding an expectation, in the order of `suite` (Great Expectations returns another order).

    Raises:
        EnvironmentFault: Great Expectations could not evaluate one of them.
    """
    found: dict[str, Finding] = {}
    with _quiet_tool() as gx:
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        source = context.data_sources.add_pandas("tables")
        for name, frame in tables.items():
            asked = {item.name: item for item in suite if item.table == name}
            batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
            checks = gx.ExpectationSuite(name=name, expectations=[_translated(gx, item) for item in asked.values()])
            definition = gx.ValidationDefinition(name=name, data=batch, suite=context.suites.add(checks))
            outcome = context.validation_definitions.add(definition).run(
                batch_parameters={"dataframe": frame},
                result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [keys[name]]},
            )
            for result in outcome.results:
                expectation = asked[result.expectation_config.meta["name"]]
                found[expectation.name] = _finding(expectation, result.to_json_dict(), keys[name], len(frame))
    return tuple(found[item.name] for item in suite)


def _translated(gx: Any, item: Expectation) -> Any:
    kinds = gx.expectations
    common = {"column": item.column, "severity": item.severity, "meta": {"name": item.name}, "mostly": item.mostly}
    match item.rule:
        case "not_null":
            return kinds.ExpectColumnValuesToNotBeNull(**common)
        case "unique":
            return kinds.ExpectColumnValuesToBeUnique(**common)
        case "between":
            low, high = item.arguments
            return kinds.ExpectColumnValuesToBeBetween(min_value=low, max_value=high, **common)
        case "in_set":
            return kinds.ExpectColumnValuesToBeInSet(value_set=list(item.arguments), **common)


def _finding(expectation: Expectation, result: Mapping[str, Any], key: str, n_rows: int) -> Finding:
    raised = result["exception_info"]
    if raised.get("raised_exception") or "element_count" not in result["result"]:
        raise EnvironmentFault(
            f"Great Expectations could not evaluate {expectation.name} ({raised.get('exception_message') or raised}); "
            "run `rootstock doctor`."
        )
    unexpected = result["result"].get("unexpected_index_list") or []
    examples = tuple((str(row[key]), _shown(row.get(expectation.column))) for row in unexpected[:N_EXAMPLES])
    return Finding(expectation, bool(result["success"]), n_rows, int(result["result"]["unexpected_count"]), examples)


def _shown(value: Any) -> str:
    """Return a value for people: no flags, no 8.0 where a null made 8 a float, no long digests."""
    if isinstance(value, bool):
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


@contextmanager
def _quiet_tool() -> Iterator[Any]:
    """Import Great Expectations (about 3 s) without its analytics, its remarks and its dependencies' deprecations."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx

        disabled = logging.root.manager.disable
        logging.disable(logging.INFO)  # its loggers set their own level on import
        try:
            yield gx
        finally:
            logging.disable(disabled)
