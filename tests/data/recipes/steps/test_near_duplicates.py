import polars as pl
import pytest

from lepton.core import ColumnRecord, DataError, Kind, Role, Schema, UsageError, Work
from lepton.data.recipes.base import RunContext
from lepton.data.recipes.steps.near_duplicates import NearDuplicates
from tests.data.recipes.step_contract import check_step

SCHEMA = Schema((ColumnRecord("id", Kind.NUMBER, "int64"), ColumnRecord("title", Kind.TEXT, "string")))
TITLES = [
    None,
    "A new railway bridge over the Danube opens in Ulm",
    "",
    "a  new railway bridge over the Danube opened in Ulm",
    "Something else entirely",
    None,
    "",
    "A NEW RAILWAY BRIDGE OVER THE DANUBE OPENS IN ULM",
    "铁路新桥今天在乌尔姆正式开通运营了",
    "铁路新桥今天在乌尔姆正式开通运营",
    "Something else",
]
FRAME = pl.DataFrame({"id": range(len(TITLES)), "title": TITLES})


def run(step, folder, piece=100, memory=10**9, frame=FRAME):
    bound = step.bind(SCHEMA, {})
    frames = list(bound.run(lambda: frame.iter_slices(piece), RunContext(Work(), folder, memory)))
    return pl.concat(frames)


@pytest.mark.parametrize("how", ["drop", "flag"])
def test_contract(tmp_path, how):
    check_step(NearDuplicates("title", how=how), {"title": TITLES}, kinds={"title": "text"}, scratch=tmp_path)


@pytest.mark.parametrize("piece", [1, 3, 100])
@pytest.mark.parametrize("memory", [10, 10**9])
def test_the_first_of_each_group_stays(tmp_path, piece, memory):
    made = run(NearDuplicates("title"), tmp_path, piece, memory)
    assert made["id"].to_list() == [0, 1, 2, 4, 5, 6, 8, 10]
    assert made.columns == ["id", "title"]


def test_groups_can_be_marked_instead(tmp_path):
    step = NearDuplicates("title", how="flag")
    made = run(step, tmp_path, 4)
    assert made.drop("title duplicate of").equals(FRAME)
    assert made["title duplicate of"].to_list() == [None, None, None, 2, None, None, None, 2, None, 9, None]
    assert step.bind(SCHEMA, {}).schema["title duplicate of"] == ColumnRecord(
        "title duplicate of", Kind.NUMBER, "int64", role=Role.IGNORED
    )


def test_similarity_and_letters_count(tmp_path):
    assert run(NearDuplicates("title", 1.0), tmp_path)["id"].to_list() == [0, 1, 2, 3, 4, 5, 6, 8, 9, 10]
    assert run(NearDuplicates("title", seed=-(2**70)), tmp_path)["id"].to_list() == [0, 1, 2, 4, 5, 6, 8, 10]
    assert run(NearDuplicates("title", 0.4), tmp_path)["id"].to_list() == [0, 1, 2, 4, 5, 6, 8]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: NearDuplicates("title", 0.1), UsageError, "similarity=0.1"),
        (lambda: NearDuplicates("title", 1.1), UsageError, "0.3 to 1"),
        (lambda: NearDuplicates("title", letters=0), UsageError, "letters=0"),
        (lambda: NearDuplicates("id").bind(SCHEMA, {}), DataError, "'id' is of kind number"),
        (lambda: NearDuplicates("titel").bind(SCHEMA, {}), DataError, "did you mean 'title'"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_mark_that_is_there_is_refused():
    schema = Schema((*SCHEMA, ColumnRecord("title duplicate of", Kind.NUMBER)))
    with pytest.raises(DataError, match="already"):
        NearDuplicates("title", how="flag").bind(schema, {})
