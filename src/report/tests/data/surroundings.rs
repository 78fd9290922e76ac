//! What stands around tables, with a figure of its own wherever there is one.

use crate::model::{LackingRight, PendingHints, Surroundings, TableSurroundings};
use crate::moment::Moment;
use crate::report::Aftercare;

pub(super) fn surroundings() -> Surroundings {
    let table = |table: &str, disk_bytes, gc_grace_s| TableSurroundings {
        table: table.into(),
        gc_grace_s,
        disk_bytes,
        indexes: vec!["by_grade".into()],
        views: vec!["by_batch".into()],
        triggers: vec!["audit".into()],
        cdc: true,
    };
    Surroundings {
        nodes: 61,
        nodes_down: vec!["10.0.0.7:9042".into()],
        hints: Some(vec![PendingHints { node: "10.0.0.7".into(), files: 47 }]),
        guardrails: vec![("page_size_fail_threshold".into(), "one".into())],
        lacking: Some(vec![LackingRight {
            what: "MODIFY on table courses.user_courses".into(),
            grant: "GRANT MODIFY ON TABLE courses.user_courses TO merger".into(),
        }]),
        not_durable: vec!["courses".into()],
        tables: vec![
            table("content_consumption", Some(7_340_032), 864_000),
            table("user_courses", None, 61),
        ],
        untold: vec!["the weather: it is not in system_views".into()],
    }
}

pub(super) fn aftercare() -> Aftercare {
    Aftercare {
        keyspace: "courses".into(),
        tables: vec!["content_consumption".into(), "user_courses".into()],
        gc_grace_s: 777_000,
        repair_before: Moment::now(),
    }
}
