r"""A strict local emulator of Vertex AI's batchPredictionJobs service.

It refuses what Google refuses, answers in Google's form, runs jobs on a clock that tests can script, reads
their input from an object store and writes their output there. It stands in for Google only: the clients,
the proxy and the object store beside it are the real ones.

Start it::

    python -m local.emulator --port 9100 --tls-port 9150 --cert leaf.pem --key leaf.key \
        --storage-url http://127.0.0.1:4443 --project demo-project --project-number 100000000001

Both ports listen on 127.0.0.1 unless ``--host`` says otherwise; port 0 takes a free one. One line of JSON on
stdout says where, once it is ready:

==============  ======================================================================================
plain port      ``/v1`` and ``/v1beta1`` (create, get, list, cancel, delete, operations), ``POST /token``
                (OAuth), and ``/_admin``
tls port        an HTTP CONNECT proxy that ends the TLS of ``*.googleapis.com`` itself: the way in for a
                client whose base URL cannot be changed (``HTTPS_PROXY``, and its CA trusted)
==============  ======================================================================================

A call to ``/v1`` needs a token from ``/token``, or the one given with ``--static-token``.

Script it, from a test::

    from local.emulator.admin import *

    admin = EmulatorAdmin("http://127.0.0.1:9100")
    admin.reset()
    admin.set_settings(speed=100, list_lag_seconds=2)

    # The next job with this label stays in RUNNING, half of its rows done, until it is released or cancelled.
    admin.add_scenario(Scenario(
        match=Match(labels={"airflow-dag": "nightly"}), times=1,
        timeline=[Step(state="PENDING"), Step(state="RUNNING", seconds=None)],
    ))
    job = admin.wait_for_jobs(Match(labels={"airflow-dag": "nightly"}), state="RUNNING")[0]
    admin.release_job(job.id)

    # A cancel that comes too late; a job that fails; one that expires in the queue.
    Scenario(cancel=Cancel(seconds=5, end="SUCCEEDED"))
    Scenario(end="FAILED", error_code=13, error_message="System error.", finished=0.3)
    Scenario(timeline=[Step(state="PENDING", seconds=60)], end="EXPIRED")

    # A tenth of the rows fails, all rows that hold a text come from the cache, the first row is a trap.
    Scenario(
        mix={Trait.FAILED: 0.1},
        rows=[RowRule(contains="shared prefix", traits=[Trait.CACHED])],
        output=Output(first_row=[Trait.FAILED_ABSENT]),
    )

    # A third of the rows fails twice with a 503 and is then answered; one never finishes; the answer to
    # another is dropped from the output, that to a third is in it twice, and a fourth line is cut.
    Scenario(rows=[
        RowRule(contains="", share=1 / 3, fails=2, code=503), RowRule(contains="row 7", never=True),
        RowRule(contains="row 8", copies=0), RowRule(contains="row 9", copies=2),
        RowRule(contains="row 10", cut=True), RowRule(contains="row 11", traits=[Trait.MAX_TOKENS]),
    ])
    # The next job dies with half of its rows done. A job that reads its output folder resumes it.
    Scenario(end="FAILED", error_code=13, finished=0.5, times=1)
    # The rows of an output in the order of the input, or backwards.
    Scenario(output=Output(order=Order.INPUT))

    # The duplicate trap: the job is stored, the answer is lost.
    admin.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.RESET_AFTER))
    # 30 % of all calls are answered with 503, half a second late.
    admin.add_fault(Fault(
        op=Operation.ANY, kind=FaultKind.STATUS, status=503, headers={"Retry-After": "1"},
        probability=0.3, times=None, seconds=0.5,
    ))
    # Kill a client between the POST and its answer.
    admin.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.HOLD, after=True))
    held = admin.wait_for_held(Operation.CREATE)[0]   # stored: held.job is its id
    ...                                               # kill it
    admin.release_held(held.hold)

    # What really happened: every job ever stored, its states, its cancel calls, and who won.
    admin.jobs(), admin.requests()

The same over HTTP, where all bodies are the fields of `script`'s classes as JSON:

==========================  ==========================================================================
GET /_admin/jobs            the ledger; ``DELETE /_admin/jobs/{id}`` makes a job vanish from the API
POST /_admin/jobs           stores jobs of an earlier time, ``PUT /_admin/jobs/{id}`` moves one into another
                            ``state``: for the projects of a large team, without their lives
GET /_admin/requests        the log of calls: operation, status, fault, time
POST /_admin/reset          forget everything
GET, PUT /_admin/settings   `script.Settings`; a PUT changes what it names
.../_admin/scenarios        POST (a `script.Scenario`), DELETE (all)
.../_admin/faults           POST (a `script.Fault`), DELETE (all)
GET /_admin/held            calls that wait for their release
POST /_admin/release        ``{"job": id}``, ``{"hold": number, "reset": bool}``, or ``{}`` for all holds
POST /_admin/revoke-tokens  all tokens given out become invalid
GET, POST /_admin/wait      returns as soon as it is true, or 408: ``?until=jobs&state=RUNNING&label=k=v``,
                            ``?until=held&op=create``, ``?until=calls&op=cancel&count=3&timeout_seconds=20``
==========================  ==========================================================================

Choices where Google's behaviour is not documented or not known:

* Read-only fields in a create body (``name``, ``state``, times) are checked for their type and then ignored.
* A bare string in place of a repeated field is refused, as protobuf's own JSON parser does.
* In a filter OR binds tighter than AND (AIP-160), ``:`` takes ``*`` anywhere, and what is not documented is
  refused.
* A page holds 100 jobs by default and at most 1,000; a token is good for the filter it was made for.
* Missing buckets and bad input fail a job before it is RUNNING; it then has neither statistics nor an
  output place.
* EXPIRED and PARTIALLY_SUCCEEDED jobs carry no end time and no error.
* A cancel in CANCELLING is answered with 200, one after the end with FAILED_PRECONDITION, as is a delete
  before it.
* A job that reads the output folder of an earlier job resumes it: rows with an answer are copied unchanged,
  rows that failed run again. Outputs hold finished rows only, as observed, while Google's page says that
  incomplete rows run, too: the emulator takes those from the input of the earlier job. With the setting
  ``resume_incomplete`` off it runs only what the folder holds.
* A row that failed by a ``RowRule`` is known by its request and its other keys, in whatever form a later job
  reads it. Whether real failures pass when a row is sent again is Google's affair.
* No BigQuery: a job that reads or writes it is accepted, and fails with code 12.
* Tuned models are taken for Gemini whatever their number; publishers other than google have no models.
"""
