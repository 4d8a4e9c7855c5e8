//! The benchmark, in its smallest form.

use codis_chaos::bench::{self, Contender, Plan, Programs, SHAPES, Size};
use codis_chaos::preflight;
use codis_chaos::talk::Talk;

fn plan(state: &std::path::Path) -> Plan {
    let proxy = preflight::Programs::beside_this().unwrap();
    let proxy = proxy.file("codis-proxy");
    Plan {
        programs: Programs::find(proxy.clone(), Some(proxy)).unwrap(),
        state: state.join("bench"),
        shapes: SHAPES.to_vec(),
        contenders: Contender::ALL.to_vec(),
        size: Size::Smallest,
    }
}

/// Every contender answers every shape rightly, and every figure is there.
#[tokio::test]
async fn every_shape_gives_its_figures() {
    let state = tempfile::tempdir().unwrap();
    let plan = plan(state.path());
    let results = bench::run(&plan, &Talk::silent()).await.unwrap();
    assert_eq!(
        results.shapes.len() + 1,
        SHAPES.len(),
        "and idle connections"
    );
    for shape in &results.shapes {
        let two_workers = shape.lines.iter().any(|line| line.contender == "ours-2");
        let lines = if two_workers { 7 } else { 5 };
        assert_eq!(shape.lines.len(), lines, "{shape:?}");
        for line in &shape.lines {
            let direct = line.contender == "direct";
            assert_eq!(line.cpu.is_none(), direct, "{line:?}");
            assert!(line.rate.unwrap().median > 0.0, "{line:?}");
            assert!(line.p50.unwrap().median <= line.p999.unwrap().median);
            assert_eq!(line.ratios.len(), lines - 1);
        }
    }
    let names = results.idle.iter().map(|idle| idle.contender.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["ours", "baseline", "twemproxy"]);
    assert!(results.idle.iter().all(|idle| idle.connections == 300));
    for text in [results.markdown(), results.to_string()] {
        assert!(text.contains("twemproxy"), "{text}");
        assert!(!text.contains("NaN"), "{text}");
    }
    assert!(!state.path().join("bench").exists(), "the files are gone");
}
