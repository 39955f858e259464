"""What to do about a failure, by the kind of the error and, of the system's errors, their words.

Remedies name no user, no secret and no path, so that they may be sent anywhere.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_AGAIN = "nothing that was done is lost; run again"
_BACKUP = "llmrec doctor names the file; put it back from a backup (llmrec restore)"

# The product's own errors; their messages say more.
OF_ERRORS = {
    "BadArchive": "name another archive, or another root (LLMREC_DATA_DIR)",
    "BadFile": "mend the file, or take it out of landing/; the reason is in rejected_events",
    "BadKeysFile": "chmod 600 the file of keys, or make a key: llmrec key add",
    "BadTime": "send times as ISO-8601 or as epoch seconds",
    "BehaviorDictionaryError": "mend behaviors.json in the data root",
    "BrokenPackage": "launch the job refresh_lists, which publishes anew",
    "Busy": "wait a moment and ask again",
    "CannotContinue": "launch the job retrain, which starts from nothing",
    "Conflict": "send another feedback_id",
    "DamagedFile": f"{_BACKUP}, or launch the job that the message names",
    "DimensionChanged": "set the dimensions of the embedding model, or name it by its version",
    "EncoderUnavailable": "set LLMREC_ENCODER, or install the package that the message names",
    "EndpointAnswerError": "see that LLMREC_ENCODER_URL serves the model that LLMREC_ENCODER names",
    "EndpointError": "see that LLMREC_ENCODER_URL answers and takes LLMREC_ENCODER_KEY",
    "ForeignFiles": "give the demo a root of its own (LLMREC_DATA_DIR)",
    "ImportProblem": "name the columns by --map, or the folder that holds the data set",
    "NewerStore": "install the newer llmrec-assets that wrote the store, or restore a backup",
    "NoRows": "see that the query, or the source, has rows",
    "NonFiniteLoss": "lower learning_rate, or look for values without bound in the events",
    "NotExportable": "set LLMREC_ENCODER to the float32 model",
    "NotMendable": "export the rejected rows anew (llmrec rejected export) and mend that file",
    "NotReady": "llmrec run publishes what the service needs",
    "NothingToLearn": "land more events: users with three events are needed",
    "Refusal": "the answer says which limit or key",
    "Refused": "launch the job refresh_lists, which publishes anew",
    "RelativeTimes": "age needs absolute times: deliver events with epoch seconds or ISO-8601",
    "RootIsBusy": "wait for the command or run that works on the root",
    "ServiceRuns": "stop llmrec serve, do it, and start it again",
    "SettingError": "set the variable that the message names to a value that it takes",
    "SimulationFailed": "the message names the simulated loop whose store tells more",
    "StillWritten": "close the program that writes the file, then repeat the command",
    "TemplateError": "mend LLMREC_TEXT_TEMPLATE",
    "TokenBudgetSpent": "raise LLMREC_ENCODER_TOKEN_BUDGET, or wait for the next run",
    "TooLittleMemory": "choose the setting that the message names, or a machine with more memory",
    "UnknownFile": "s1_raw_events.files lists the names and hashes of what came in",
    "WarehouseBusy": "close the program that holds the DuckDB file: llmrec doctor says which",
    "WarehouseDamaged": f"{_BACKUP}, or move the file away as the message says",
    "WorkersLost": "look at the cluster's own log for workers that died, then run again",
    "WrongSchema": "restore a backup, or move the DuckDB file away: landing/ has all events",
}


@dataclass(frozen=True)
class _Rule:
    words: re.Pattern[str]
    remedy: str


def _rule(words: str, remedy: str) -> _Rule:
    return _Rule(re.compile(words, re.IGNORECASE), remedy)


# Of the system, DuckDB, SQLite: by their words, the first that fits.
OF_WORDS = (
    _rule(
        r"no space left|disk is full|disk quota|errno 28|file too large|errno 27|out of disk",
        f"make room on the disk; {_AGAIN}",
    ),
    _rule(
        r"permission denied|readonly database|read-only|unable to open database|errno 13",
        f"give the user that runs llmrec access (chown, chmod: llmrec doctor says where); {_AGAIN}",
    ),
    _rule(r"disk image is malformed|file is not a database", _BACKUP),
    # SQLite says this of a full disk too.
    _rule(r"disk i/o error", f"see that the disk works and has room (llmrec doctor); {_AGAIN}"),
    _rule(
        r"out of memory|cannot allocate|memoryerror",
        "set LLMREC_SHARDS=8, which works on fewer users at a time, and LLMREC_DUCKDB_MEMORY to"
        " what is free, or run on a machine with more memory",
    ),
    _rule(
        r"blocking asset check", "the check says what of the data is broken: mend it in landing/"
    ),
    _rule(r"was killed|max.?runtime|timed out", f"{_AGAIN}; the sensors ask for it by themselves"),
)


def remedy_of(kinds: Sequence[str], texts: Iterable[str]) -> str | None:
    """What to do about an error, or None where nothing better is known than its message.

    `kinds` are the names of the classes of an error and its causes, `texts` their messages.
    """
    for kind in kinds:
        if kind in OF_ERRORS:
            return OF_ERRORS[kind]
    said = "\n".join(texts)
    return next((rule.remedy for rule in OF_WORDS if rule.words.search(said)), None)
