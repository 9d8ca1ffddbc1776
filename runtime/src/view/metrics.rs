//! The daemon's health as Prometheus metrics: base units, low cardinality, one prefix.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use stopline_depot::health::{CameraHealth, Health, StageHealth};

/// States, as in the health file.
const STATES: [&str; 6] = ["init", "ready", "active", "degraded", "fail_safe", "stopped"];

/// Everything as OpenMetrics text. `connected`: whether the daemon's stream is there; without it the last values would be
/// lies, so only `stopline_up` is written.
pub fn text(connected: bool, health: Option<Health>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Metrics { health: health.filter(|_| connected) }));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Metrics {
    health: Option<Health>,
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let to = &mut encoder;
        gauge(to, "stopline_up", "1 while the daemon's stream is there", |up| {
            up.encode_gauge(&i64::from(self.health.is_some()))
        })?;
        let Some(health) = &self.health else { return Ok(()) };
        whole(to, health)?;
        cameras(to, &health.cameras)?;
        models(to, health)?;
        aside(to, health)?;
        stages(to, &health.stages)
    }
}

fn whole(to: &mut DescriptorEncoder, health: &Health) -> Result<(), fmt::Error> {
    gauge(to, "stopline_state", "1 for the state that holds", |family| {
        STATES.iter().try_for_each(|state| {
            let holds = i64::from(health.state.name == *state);
            family.encode_family(&[("state", *state)])?.encode_gauge(&holds)
        })
    })?;
    gauge(to, "stopline_fault", "1 for every cause that is present", |family| {
        health
            .faults
            .iter()
            .try_for_each(|cause| family.encode_family(&[("cause", cause.as_str())])?.encode_gauge(&1_i64))
    })?;
    gauge(to, "stopline_armed", "1 while commands are armed", |armed| {
        armed.encode_gauge(&i64::from(health.arming.armed))
    })?;
    counter(to, "stopline_transitions", "Changes of the state", |all| total(all, health.transitions_total))?;
    counter(to, "stopline_commands", "Commands made", |made| total(made, health.command.made))?;
    gauge(to, "stopline_command_longest_gap_seconds", "Longest time between two commands", |gap| {
        gap.encode_gauge(&seconds(health.command.longest_gap_us))
    })?;
    gauge(to, "stopline_command_deceleration", "Deceleration asked for, in m/s2", |asked| {
        asked.encode_gauge(&f64::from(health.command.deceleration))
    })?;
    gauge(to, "stopline_actuator_fault", "1 for an actuator that is at fault", |family| {
        health.actuators.iter().try_for_each(|actuator| {
            let labels = [("actuator", actuator.name.as_str()), ("kind", actuator.kind.as_str())];
            family.encode_family(&labels)?.encode_gauge(&i64::from(actuator.fault.is_some()))
        })
    })?;
    gauge(to, "stopline_uptime_seconds", "Since the daemon began", |up| {
        up.encode_gauge(&seconds(health.uptime_ms.saturating_mul(1000)))
    })?;
    gauge(to, "stopline_resident_memory_bytes", "Resident memory of the daemon", |memory| {
        memory.encode_gauge(
            &i64::try_from(health.machine.resident_kib.saturating_mul(1024)).unwrap_or(i64::MAX),
        )
    })?;
    counter(to, "stopline_stream_readers_dropped", "Readers of the stream that did not keep up", |dropped| {
        total(dropped, health.stream.dropped)
    })
}

fn cameras(to: &mut DescriptorEncoder, cameras: &[CameraHealth]) -> Result<(), fmt::Error> {
    type Count = fn(&CameraHealth) -> u64;
    let counts: [(&str, &str, Count); 11] = [
        ("stopline_frames_delivered", "Frames that came", |camera| camera.delivered),
        ("stopline_frames_dropped", "Frames the device made and nobody got", |camera| camera.dropped),
        ("stopline_frames_replaced", "Frames that a newer one replaced unseen", |camera| camera.replaced),
        ("stopline_frames_skipped", "Frames that could not be used", |camera| camera.skipped),
        ("stopline_frames_still", "Frames not looked at since nothing had moved", |camera| camera.still),
        ("stopline_frames_narrowed", "Frames looked at in part", |camera| camera.narrowed),
        ("stopline_looks_left_out", "Looks of a model left out of a frame whose time was spent", |camera| {
            camera.left_out
        }),
        ("stopline_frames_decided", "Frames decided on", |camera| camera.decided),
        ("stopline_frames_invalid", "Frames with impossible numbers of a model", |camera| camera.invalid),
        ("stopline_camera_losses", "Times the camera was lost", |camera| camera.lost),
        ("stopline_camera_returns", "Times the camera came back", |camera| camera.restored),
    ];
    for (name, help, count) in counts {
        counter(to, name, help, |family| {
            cameras.iter().try_for_each(|camera| {
                total(&mut family.encode_family(&[("camera", camera.name.as_str())])?, count(camera))
            })
        })?;
    }
    gauge(to, "stopline_camera_fault", "1 for every cause that is present at a camera", |family| {
        cameras.iter().try_for_each(|camera| {
            camera.faults.iter().try_for_each(|cause| {
                let labels = [("camera", camera.name.as_str()), ("cause", cause.as_str())];
                family.encode_family(&labels)?.encode_gauge(&1_i64)
            })
        })
    })
}

fn models(to: &mut DescriptorEncoder, health: &Health) -> Result<(), fmt::Error> {
    counter(to, "stopline_model_frames", "Frames a model looked at", |family| {
        health.models.iter().try_for_each(|model| {
            total(&mut family.encode_family(&[("model", model.name.as_str())])?, model.frames)
        })
    })?;
    gauge(to, "stopline_model_info", "1, with what each model is", |family| {
        health.models.iter().try_for_each(|model| {
            let Some(identity) = &model.identity else { return Ok(()) };
            let labels = [
                ("model", model.name.clone()),
                ("name", identity.name.clone()),
                ("version", identity.version.to_string()),
                ("digest", identity.digest.clone()),
            ];
            family.encode_family(&labels)?.encode_gauge(&1_i64)
        })
    })
}

/// What goes on beside the loop.
fn aside(to: &mut DescriptorEncoder, health: &Health) -> Result<(), fmt::Error> {
    let drifts = health.drift.last().map_or(0, |last| last.number);
    counter(to, "stopline_drifts", "Drifts that were told", |all| total(all, drifts))?;
    let Some(capture) = &health.capture else { return Ok(()) };
    counter(to, "stopline_captured", "Frames taken for learning, by rule", |family| {
        capture.taken.iter().try_for_each(|(rule, count)| {
            total(&mut family.encode_family(&[("rule", rule.as_str())])?, *count)
        })
    })?;
    let counts = [
        ("stopline_captured_records", "Captured records put into the spool", capture.spooled),
        ("stopline_captured_dropped", "Reports that capture had no room for", capture.dropped),
        (
            "stopline_captured_limited",
            "Frames beyond the limits of the rule that wanted them",
            capture.limited,
        ),
        (
            "stopline_captured_unredacted",
            "Pictures not written because they could not be redacted",
            capture.unredacted,
        ),
        ("stopline_captured_refused", "Records that the spool did not take", capture.refused),
    ];
    counts.into_iter().try_for_each(|(name, help, count)| counter(to, name, help, |all| total(all, count)))
}

fn stages(to: &mut DescriptorEncoder, stages: &[StageHealth]) -> Result<(), fmt::Error> {
    let help = "Time of each stage; total is capture to decision";
    let mut family =
        to.encode_descriptor("stopline_stage_duration_seconds", help, None, MetricType::Histogram)?;
    for stage in stages {
        let buckets = buckets(stage);
        family.encode_family(&[("stage", stage.stage.as_str())])?.encode_histogram::<NoLabelSet>(
            seconds(stage.sum_us),
            stage.count,
            &buckets,
            None,
        )?;
    }
    Ok(())
}

/// Upper bound in seconds and how many lie in each bucket; the health file counts them cumulatively.
fn buckets(stage: &StageHealth) -> Vec<(f64, u64)> {
    let mut before = 0;
    let bounded = stage.within_power_us.iter().zip(0_u32..).map(|(&within, power)| {
        let here = within.saturating_sub(before);
        before = before.max(within);
        (seconds(1_u64.checked_shl(power).unwrap_or(u64::MAX)), here)
    });
    let mut buckets: Vec<_> = bounded.collect();
    buckets.push((f64::INFINITY, stage.count.saturating_sub(before)));
    buckets
}

fn gauge(
    to: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    values: impl FnOnce(&mut MetricEncoder) -> Result<(), fmt::Error>,
) -> Result<(), fmt::Error> {
    values(&mut to.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

/// OpenMetrics writes `_total` behind the name.
fn counter(
    to: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    values: impl FnOnce(&mut MetricEncoder) -> Result<(), fmt::Error>,
) -> Result<(), fmt::Error> {
    values(&mut to.encode_descriptor(name, help, None, MetricType::Counter)?)
}

fn total(of: &mut MetricEncoder, value: u64) -> Result<(), fmt::Error> {
    of.encode_counter::<NoLabelSet, u64, u64>(&value, None)
}

#[allow(clippy::cast_precision_loss, reason = "microseconds of a process's life fit 53 bits")]
fn seconds(micros: u64) -> f64 {
    micros as f64 * 1e-6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> Health {
        let text = r#"{"schema":1,"name":"car","version":"0.1.0","pid":7,"written_wall":"2026-02-28T23:59:59.000250Z",
            "uptime_ms":2500,"state":{"name":"degraded","cause":"ego_speed","for_ms":3},"faults":["ego_speed"],
            "arming":{"armed":true,"because":"input"},
            "cameras":[{"name":"front","kind":"v4l2","size":[1280,720],"decided_fps":30.0,"delivered":90,"dropped":2,
              "replaced":1,"skipped":0,"lost":1,"restored":1,"decided":89,"invalid":0,"faults":[],"models":["signs"]}],
            "models":[{"name":"signs","frames":89}],
            "command":{"row":"idle","valid":true,"deceleration":0.0,"hold":false,"made":3,"longest_gap_us":20100},
            "actuators":[{"name":"brake","kind":"can","fault":"no echo"}],
            "stages":[{"stage":"infer","count":3,"sum_us":9000,"max_us":5000,"within_power_us":[0,0,1,2]}],
            "machine":{"memory":"off","scheduling":"off","resident_kib":4},
            "transitions":[],"transitions_total":2,
            "capture":{"spooled":4,"taken":{"event":3,"random":1},"dropped":0,"limited":2,"unredacted":0,"refused":0},
            "stream":{"readers":1,"dropped":0}}"#;
        serde_json::from_str(text).expect("a health file")
    }

    #[test]
    fn every_value_has_its_name_its_labels_and_base_units() {
        let text = text(true, Some(health())).expect("writes");
        for line in [
            "stopline_up 1",
            "stopline_state{state=\"degraded\"} 1",
            "stopline_state{state=\"active\"} 0",
            "stopline_fault{cause=\"ego_speed\"} 1",
            "stopline_frames_dropped_total{camera=\"front\"} 2",
            "stopline_actuator_fault{actuator=\"brake\",kind=\"can\"} 1",
            "stopline_uptime_seconds 2.5",
            "stopline_resident_memory_bytes 4096",
            "stopline_drifts_total 0",
            "stopline_captured_total{rule=\"event\"} 3",
            "stopline_captured_limited_total 2",
            "stopline_stage_duration_seconds_sum{stage=\"infer\"} 0.009",
            "stopline_stage_duration_seconds_count{stage=\"infer\"} 3",
            "stopline_stage_duration_seconds_bucket{le=\"0.000004\",stage=\"infer\"} 1",
            "stopline_stage_duration_seconds_bucket{le=\"+Inf\",stage=\"infer\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn without_the_daemon_nothing_old_is_told_as_new() {
        let text = text(false, Some(health())).expect("writes");
        assert!(text.contains("stopline_up 0") && !text.contains("stopline_state"), "{text}");
    }
}
