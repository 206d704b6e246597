from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from vertex_batch.specs import BrokenSpecsError, Problem, SpecError, load_spec, load_specs, specs_folder
from vertex_batch.specs.load import MAX_FILE_BYTES
from vertex_batch.specs.parse import MAX_PROBLEMS

GOOD = """
model: gemini-2.5-flash
inputs: gs://bucket/in/{{ run_date }}.jsonl
output: gs://bucket/out/
"""


def test_a_spec_is_named_after_its_file_unless_it_says_otherwise(write):
    assert load_spec(write(GOOD)).name == "nightly"
    assert load_spec(write(GOOD + "name: other")).name == "other"


def test_a_spec_knows_its_file(write):
    path = write(GOOD)

    assert load_spec(path).file == path


def test_every_problem_is_shown_at_once_in_the_order_of_the_file(problems):
    found = problems(
        """\
        nam: x
        model: vertex_ai/gemini-2.5-flash
        schedule: 30 2 * *
        inputs:
          - gs://bucket/a.jsonl
          - s3://bucket/b.jsonl
        catchup: yes
        labels: {Env: prod, version: 1}
        region: us-central1
        retries: "3"
        tags: nightly
        tags: [a]
        owner:
        """
    )

    assert [str(problem).split(": ", 2)[:2] for problem in found] == [
        ["1:1", "nam"],
        ["1:1", "output"],
        ["2:8", "model"],
        ["3:11", "schedule"],
        ["6:5", "inputs[1]"],
        ["7:10", "catchup"],
        ["8:10", "labels.Env"],
        ["8:30", "labels.version"],
        ["9:1", "region"],
        ["10:10", "retries"],
        ["11:7", "tags"],
        ["12:1", "tags"],
        ["13:7", "owner"],
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("nam: x", "5:1: nam: is not a known key; did you mean `name`?"),
        ("region: x", "5:1: region: is not a known key; did you mean `location`?"),
        ("Cron: x", "5:1: Cron: is not a known key; did you mean `schedule`?"),
        ("zzz: x", "5:1: zzz: is not a known key; the keys are name, description, schedule"),
        ("labels: {a: 1}", "5:13: labels.a: must be a string, not the number 1: put it in quotes"),
        ("labels: {a: true}", "must be a string, not true: put it in quotes"),
        ("labels: [a]", "5:9: labels: must be a mapping of keys to values, not a list"),
        ("labels:", "5:8: labels: must be a mapping of keys to values, not empty"),
        (
            "budget: 10",
            "for example `budget: {per_run: {hold: 5, refuse: 20}, per_month: {refuse: 300}}`",
        ),
        ("max_failed_ratio: 5%", "5:19: max_failed_ratio: must be a number, not the string `5%`: write 0.05"),
        ("max_failed_ratio: 12.5 %", "write 0.125"),
        ("project: 510528649030", "5:10: project: `510528649030` is a project number"),
        ("team: Support Team", "5:7: team: "),
        ("catchup: yes", "5:10: catchup: must be true or false, not the string `yes`: write true"),
        ("retries: '3'", "5:10: retries: must be a whole number, not the string `3`: remove the quotes"),
        ("retries: 1.5", "must be a whole number, not the number 1.5"),
        ("retries: 99", "5:10: retries: should be less than or equal to 20"),
        ("tags: a", "5:7: tags: must be a list, not the string `a`"),
        (
            "prices: {m: {input: x}}",
            "5:21: prices.m.input: must be a number: US dollars per million tokens",
        ),
        ("prices: {m: {}}", "5:13: prices.m: "),
        ("start_date: 2026-02-30", "5:13: start_date: must be a day"),
    ],
)
def test_a_problem_says_where_it_is_and_what_to_write(problems, line, problem):
    (found,) = problems(GOOD + line)

    assert str(found).startswith(problem) or problem in str(found)


def test_what_is_missing_is_shown_with_an_example(problems):
    assert [str(problem) for problem in problems("model: gemini-2.5-flash")] == [
        "1:1: inputs: is missing; for example `inputs: gs://my-bucket/input/{{ run_date }}.jsonl`",
        "1:1: output: is missing; for example `output: gs://my-bucket/output/{{ run_date }}/`",
    ]


@pytest.mark.parametrize(
    ("text", "only"),
    [
        (GOOD.replace("model:", "modle:"), "modle: is not a known key; did you mean `model`?"),
        (GOOD.replace("output:", "destination:"), "destination: is not a known key; did you mean `output`?"),
        (
            "inputs: gs://bucket/in.jsonl\noutput: gs://bucket/out/\njobs: {a: {modle: gemini-2.5-flash}}",
            "jobs.a.modle: is not a known key; did you mean `model`?",
        ),
    ],
)
def test_a_misspelled_key_is_not_reported_as_missing_as_well(problems, text, only):
    (found,) = problems(text)
    assert str(found).endswith(only)


def test_a_key_that_is_missing_is_reported_beside_another_misspelled_one(problems):
    text = "".join(line for line in GOOD.splitlines(keepends=True) if not line.startswith("output"))
    assert [each.path for each in problems(text + "tagz: [a]\n")] == ["output", "tagz"]


def test_an_error_reads_as_compilers_write_it(write):
    path = write(GOOD + "retries: x\nowner: 1\n")

    with pytest.raises(SpecError) as error:
        load_spec(path)

    assert str(error.value).splitlines() == [
        f"{path}:5:10: retries: must be a whole number, not the string `x`",
        f"{path}:6:8: owner: must be a string, not the number 1: put it in quotes",
    ]


def test_an_error_pickles_with_its_arguments():
    error = SpecError("a.yaml", [Problem(2, 1, "x", "b"), Problem(1, 1, "", "a")])

    copy = pickle.loads(pickle.dumps(error))

    assert (copy.file, copy.problems, str(copy)) == (
        error.file,
        error.problems,
        "a.yaml:1:1: a\na.yaml:2:1: x: b",
    )
    assert str(pickle.loads(pickle.dumps(BrokenSpecsError([error])))) == str(BrokenSpecsError([error]))


def test_a_problem_stays_on_one_line_and_shows_no_key(problems):
    found = str(problems(GOOD + '"a\\nb": x\nconnection: "sk-1234567890 abc"\nlabels: {"\\u202E": x}\n'))

    assert "sk-1234567890" not in found
    assert all(str(problem).isprintable() for problem in problems(GOOD + '"a\\nb": x\nowner: "x\\ny"'))


def test_a_name_that_comes_from_the_file_is_checked_too(write):
    with pytest.raises(SpecError, match=r"My Job.yaml:1:1: name: `My Job` must begin with a letter"):
        load_spec(write(GOOD.lstrip(), "My Job.yaml"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "1:1: the file is empty"),
        (b"[]", "1:1: must contain keys and values"),
        (b"just text", "1:1: must contain keys and values"),
        (b"a: 1\nb: \xff", "2:4: is not UTF-8 (byte 0xff)"),
        (b"a: 1\nb: \xe4", "2:4: is not UTF-8"),
        (b"#" * (MAX_FILE_BYTES + 1), "1:1: is larger than 256 kB"),
    ],
)
def test_a_file_that_is_no_spec_says_why(tmp_path, content, problem):
    path = tmp_path / "nightly.yaml"
    path.write_bytes(content)

    with pytest.raises(SpecError) as error:
        load_spec(path)

    assert str(error.value).startswith(f"{path}:{problem}")


def test_a_byte_order_mark_is_no_problem(tmp_path):
    path = tmp_path / "nightly.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())

    assert load_spec(path).name == "nightly"


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    (tmp_path / "folder.yaml").mkdir()

    with pytest.raises(SpecError, match=r"gone\.yaml:1:1: cannot be read: No such file"):
        load_spec(tmp_path / "gone.yaml")
    with pytest.raises(SpecError, match=r"folder\.yaml:1:1: cannot be read: Is a directory"):
        load_spec(tmp_path / "folder.yaml")


def test_a_file_of_nonsense_does_not_fill_the_log(problems):
    assert len(problems("\n".join(f"key{n}: 1" for n in range(5000)))) == MAX_PROBLEMS


def test_an_alias_saves_writing(write):
    spec = load_spec(write(GOOD + "owner: &who search\nteam: *who\n"))

    assert (spec.owner, spec.job.team) == ("search", "search")


class TestFolder:
    def test_every_yaml_file_in_it_and_below_is_a_spec(self, write, tmp_path):
        for name in ("a.yaml", "b.yml", "team/c.yaml"):
            write(GOOD, name)
        for name in (
            "notes.txt",
            "examples/f.yaml",
            "_draft.yaml",
            ".hidden.yaml",
            "_parts/d.yaml",
            ".git/e.yaml",
        ):
            write("broken: [", name)

        found = load_specs(tmp_path)

        assert sorted(found.specs) == ["a", "b", "c"]
        assert found.errors == []

    def test_a_broken_file_hides_no_other(self, write, tmp_path):
        write(GOOD, "good.yaml")
        write("model: [", "broken.yaml")
        write("{}", "empty.yaml")

        found = load_specs(tmp_path)

        assert list(found.specs) == ["good"]
        assert [Path(error.file).name for error in found.errors] == ["broken.yaml", "empty.yaml"]

    def test_two_files_with_one_name_are_both_errors(self, write, tmp_path):
        first = write(GOOD + "name: same", "a.yaml")
        second = write(GOOD, "same.yaml")
        write(GOOD, "other.yaml")

        found = load_specs(tmp_path)

        assert list(found.specs) == ["other"]
        advice = "neither becomes a DAG; rename one of them"
        assert [str(error) for error in found.errors] == [
            f"{first}:5:7: name: `same` is also the name of {second}: {advice}",
            f"{second}:2:1: name: `same` is also the name of {first}: {advice}",
        ]

    def test_all_broken_files_can_be_raised_as_one_error(self, write, tmp_path):
        write("model: [", "a.yaml")
        write("{}", "b.yaml")

        with pytest.raises(BrokenSpecsError) as error:
            load_specs(tmp_path).raise_for_errors()

        lines = str(error.value).splitlines()
        assert {Path(line.split(":")[0]).name for line in lines[:-1]} == {"a.yaml", "b.yaml"}
        assert lines[-1] == "The DAGs of all other specs are not affected."

    def test_good_specs_raise_nothing(self, write, tmp_path):
        write(GOOD)

        found = load_specs(tmp_path)
        found.raise_for_errors()
        assert len(found.specs) == 1

    def test_one_spec_alone_is_found_by_its_file_without_reading_the_others(
        self, write, tmp_path, monkeypatch
    ):
        from vertex_batch.specs import load

        write(GOOD, "a.yaml")
        write(GOOD, "wanted.yaml")
        read = []
        text = load.read_text
        monkeypatch.setattr(load, "read_text", lambda path: read.append(path.name) or text(path))

        assert list(load_specs(tmp_path, only="wanted").specs) == ["wanted"]
        assert read == ["wanted.yaml"]

    def test_one_spec_alone_is_found_under_another_files_name(self, write, tmp_path):
        write(GOOD, "a.yaml")
        write(GOOD + "name: wanted", "z.yaml")

        assert list(load_specs(tmp_path, only="wanted").specs) == ["wanted"]
        assert load_specs(tmp_path, only="nothing").specs == {}

    def test_a_folder_that_is_not_there_is_an_error_with_its_repair(self, tmp_path):
        (error,) = load_specs(tmp_path / "gone").errors

        assert "the folder does not exist: create it, or set VERTEX_BATCH_SPECS_FOLDER" in str(error)

    def test_a_link_to_nowhere_is_an_error(self, tmp_path):
        (tmp_path / "a.yaml").symlink_to(tmp_path / "gone")

        (error,) = load_specs(tmp_path).errors
        assert "a.yaml:1:1: cannot be read: No such file or directory" in str(error)


def test_the_folder_is_that_of_the_environment_else_beside_the_dags(monkeypatch, tmp_path):
    assert specs_folder(tmp_path / "dags") == tmp_path / "include" / "jobs"
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", "/srv/dags")
    assert specs_folder() == Path("/srv/include/jobs")
    monkeypatch.setenv("VERTEX_BATCH_SPECS_FOLDER", "/elsewhere")
    assert specs_folder(tmp_path / "dags") == Path("/elsewhere")
