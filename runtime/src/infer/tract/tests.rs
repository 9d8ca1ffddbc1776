use std::path::PathBuf;

use stopline_sensors::clock::{Clock, SystemClock};

use super::*;

/// The table of the room's README: what each rung costs to load and to run.
#[test]
#[ignore = "measures; needs STOPLINE_FIELD_DATA, one pinned core and a quiet machine"]
fn each_rung_is_measured_on_the_field_models() {
    let data = PathBuf::from(std::env::var_os("STOPLINE_FIELD_DATA").expect("STOPLINE_FIELD_DATA is set"));
    for name in ["fastestdet_352", "nanodet_m_320", "pose_cpm_192", "yolox_nano_416"] {
        let path = data.join("models").join(name).with_extension("onnx");
        let bytes = std::fs::read(&path).unwrap();
        let model = ModelFile { path: &path, bytes: &bytes };
        let mut times = Effort::RUNGS.map(|effort| (effort, Vec::new(), Vec::new()));
        // In turn, so that a busy moment of the machine falls on all of them.
        for _ in 0..5 {
            for (effort, loads, runs) in &mut times {
                let start = SystemClock.monotonic();
                let proto = graph::read(&model).unwrap();
                let shaped = graph::shaped(&model, &proto, &PlanOptions::default()).unwrap();
                let ladder = Ladder { model: &model, proto: &proto, inputs: &shaped.inputs };
                let runnable = optimise(ladder.typed(false).unwrap(), *effort).unwrap().into_runnable().unwrap();
                loads.push(SystemClock.monotonic().since(start).as_secs_f64() * 1e3);
                let shape: Vec<usize> = shaped.inputs[0].shape.iter().map(|size| size.unwrap()).collect();
                let input = TractTensor::zero::<f32>(&shape).unwrap().into_arc_tensor();
                let mut state = runnable.spawn().unwrap();
                for _ in 0..if *effort == Effort::Nothing { 3 } else { 12 } {
                    let start = SystemClock.monotonic();
                    state.run(tvec![TValue::from_const(Arc::clone(&input))]).unwrap();
                    runs.push(SystemClock.monotonic().since(start).as_secs_f64() * 1e3);
                }
            }
        }
        for (effort, loads, runs) in &times {
            let least = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
            println!("{name:16} {effort:18?} load {:6.1} ms, run {:6.1} ms (least)", least(loads), least(runs));
        }
    }
}
