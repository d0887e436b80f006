"""Envoy's own statistics, as its admin interface writes them."""

from extproc.transport.envoy_stats import EnvoyReading, EnvoyStats, read_stats


def test_the_statistics_are_read_and_what_was_never_touched_is_zero() -> None:
    log = "access_logs.grpc_access_log"
    text = f"cluster.zai.upstream_rq_active: 3\n{log}.logs_dropped: 17\n{log}.logs_written: 1200\n"

    assert read_stats(text) == EnvoyReading(3, 1200, 17)
    assert read_stats("cluster.zai.upstream_rq_active: 3\n") == EnvoyReading(3, 0, 0)
    assert read_stats("") == EnvoyReading(0, 0, 0)
    assert read_stats('{"error": "no: such"}\nhistogram: P0(nan,1)') == EnvoyReading(0, 0, 0)


def test_while_envoy_does_not_answer_only_that_is_exported() -> None:
    stats = EnvoyStats(1)
    samples = [sample for family in stats.collect() for sample in family.samples]

    assert [(sample.name, sample.value) for sample in samples] == [("zai_proxy_envoy_up", 0.0)]
