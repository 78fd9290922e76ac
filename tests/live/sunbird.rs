//! The preset `sunbird-lern` on the tables and the rows by which Sunbird tests its own job: what that makes of them, except
//! that sources are empty afterwards. What the job dates with the moment at which it runs is left as it was.

use serde_json::{Value, json};

use crate::world::World;

const COURSE: &str = "do_11309999837886054415";
const BATCH: &str = "01310002452815872";
const CONTENT: &str = "do_213479559836893184192";

/// Its tables, with the rows of three users.
fn sunbird(name: &str) -> World {
    let world = World::empty(name);
    let cql = |statement: &str| world.cql(&statement.replace("KS", &world.keyspace));
    cql(
        "CREATE TABLE KS.user_content_consumption (userid text, courseid text, batchid text, contentid text, \
         completedcount int, datetime timestamp, last_access_time timestamp, last_completed_time timestamp, \
         last_updated_time timestamp, lastaccesstime text, lastcompletedtime text, lastupdatedtime text, \
         progress int, status int, viewcount int, PRIMARY KEY (userid, courseid, batchid, contentid))",
    );
    cql(
        "CREATE TABLE KS.user_activity_agg (activity_type text, activity_id text, user_id text, context_id text, \
         agg map<text, int>, agg_details list<text>, agg_last_updated map<text, timestamp>, \
         aggregates map<text, double>, PRIMARY KEY ((activity_type, activity_id, user_id), context_id))",
    );
    cql(
        "CREATE TABLE KS.user_enrolments (userid text, courseid text, batchid text, active boolean, addedby text, \
         certificates list<frozen<map<text, text>>>, completedon timestamp, completionpercentage int, \
         contentstatus map<text, int>, datetime timestamp, enrolleddate text, \
         issued_certificates list<frozen<map<text, text>>>, lastreadcontentid text, lastreadcontentstatus int, \
         progress int, status int, PRIMARY KEY (userid, courseid, batchid))",
    );
    let enrolled = [
        ("user001", 6, "2019-08-21", "P4L3Y9"),
        ("user001", 5, "2019-08-25", "P4L3Y5"),
        ("user002", 6, "2019-08-22", "P4L3Y10"),
        ("user002", 7, "2019-08-27", "P4L3Y17"),
        ("user003", 6, "2019-08-22", "P4L3Y10"),
        ("user003", 7, "2019-08-27", "P4L3Y17"),
    ];
    for (user, batch, on, token) in enrolled {
        cql(&format!(
            "INSERT INTO KS.user_enrolments (userid, courseid, batchid, issued_certificates, completedon) VALUES \
             ('{user}', '{COURSE}', '{BATCH}0{batch}', [{{'identifier': 'certificateId', 'lastIssuedOn': '{on}', \
             'name': '100PercentCompletionCertificate', 'token': '{token}'}}], '2022-01-01')"
        ));
    }
    for (user, content, at, progress, views, completed) in [
        ("user001", 7, "2022-02-21 05:54:43.853", 2, 1, 10),
        ("user002", 7, "2022-02-19 05:54:43.853", 1, 2, 8),
        ("user003", 8, "2022-02-19 05:54:43.853", 1, 2, 8),
    ] {
        cql(&format!(
            "INSERT INTO KS.user_content_consumption (userid, courseid, batchid, contentid, last_access_time, progress, \
             status, viewcount) VALUES ('{user}', '{COURSE}', '{BATCH}06', '{CONTENT}{content}', '{at}', {progress}, 1, {views})"
        ));
        cql(&format!(
            "INSERT INTO KS.user_activity_agg (activity_type, activity_id, user_id, context_id, aggregates) VALUES \
             ('Course', '{COURSE}', '{user}', 'cb:{BATCH}06', {{'completedCount': {completed}}})"
        ));
    }
    world
}

/// What a user has: batches with the tokens of their certificates; contents with progress, status, views and the moment of
/// the last access; and what is completed.
fn of(world: &World, user: &str) -> Value {
    let rows = |query: &str| {
        let rows = world.rows(query).into_iter().filter(|row| row[0] == Some(user.into()));
        let mut rows: Vec<Vec<Value>> = rows
            .map(|row| row.into_iter().skip(1).map(Option::unwrap_or_default).collect())
            .collect();
        rows.sort_by_key(|row| format!("{row:?}"));
        rows
    };
    let enrolled = rows("SELECT userid, batchid, issued_certificates FROM user_enrolments");
    let enrolled = enrolled.iter().map(|row| json!([row[0], row[1][0]["token"]]));
    let content = "SELECT userid, contentid, progress, status, viewcount, completedcount, last_access_time \
                   FROM user_content_consumption";
    let completed = "SELECT user_id, context_id, aggregates FROM user_activity_agg";
    json!({
        "enrolled": enrolled.collect::<Vec<_>>(), "content": rows(content), "completed": rows(completed),
    })
}

fn batch(number: u8) -> String {
    format!("{BATCH}0{number}")
}

/// Merges the first user into another one, killed on the way, and checks it, also that it is undone.
fn merged(world: &World, into: &str, expected: &Value) {
    let before = ["user001", into].map(|user| of(world, user));
    let pairs = world.file("pairs.csv", format!("from,to\nuser001,{into}\n"));
    let run = world.run_dir();
    let apply = || world.apply(&pairs, &run).with("--spec", "sunbird-lern");
    let refused = apply().flag("--no-register").run().exits(2);
    assert!(
        refused.stderr.contains("viewcount is added up")
            || refused.stderr.contains("completedcount is added up"),
        "{refused}"
    );
    apply().environment("TRIBUTARY_FAILPOINT", "copied:1").run().was_killed();
    world.resume(&run).run().exits(0);
    let nothing = json!({"enrolled": [], "content": [], "completed": []});
    assert_eq!(of(world, into), *expected);
    assert_eq!(of(world, "user001"), nothing);
    let announced: Vec<(String, String)> = world.events().into_keys().collect();
    assert_eq!(announced, [5, 6, 7].map(|number| (into.to_owned(), batch(number))));
    world.over("verify", &run).run().exits(0);
    // Nothing is left to be counted.
    world.resume(&run).run().exits(0);
    assert_eq!(of(world, into), *expected);
    world.over("undo", &run).run().exits(0);
    assert_eq!(["user001", into].map(|user| of(world, user)), before);
}

#[test]
fn a_user_with_a_record_of_the_same_content() {
    let expected = json!({
        "enrolled": [[batch(5), "P4L3Y5"], [batch(6), "P4L3Y10"], [batch(7), "P4L3Y17"]],
        "content": [[format!("{CONTENT}7"), 2, 1, 3, null, 1_645_422_883_853_i64]],
        "completed": [[format!("cb:{}", batch(6)), {"completedCount": 10.0}]],
    });
    merged(&sunbird("sunbird_same"), "user002", &expected);
}

#[test]
fn a_user_without() {
    let expected = json!({
        "enrolled": [[batch(5), "P4L3Y5"], [batch(6), "P4L3Y10"], [batch(7), "P4L3Y17"]],
        "content": [
            [format!("{CONTENT}7"), 2, 1, 1, null, 1_645_422_883_853_i64],
            [format!("{CONTENT}8"), 1, 1, 2, null, 1_645_250_083_853_i64],
        ],
        "completed": [[format!("cb:{}", batch(6)), {"completedCount": 10.0}]],
    });
    merged(&sunbird("sunbird_other"), "user003", &expected);
}

/// A count that the survivor gets later is the application's; one that an emptied source gets stays there, and is listed.
#[test]
fn what_is_counted_later_is_not_added() {
    let world = sunbird("sunbird_late");
    let (pairs, run) = (world.file("pairs.csv", "from,to\nuser001,user002\n"), world.run_dir());
    world.apply(&pairs, &run).with("--spec", "sunbird-lern").run().exits(0);
    let views = |user: &str, views: u8| {
        world.cql(&format!(
            "UPDATE {}.user_content_consumption SET viewcount = {views} WHERE userid = '{user}' AND \
             courseid = '{COURSE}' AND batchid = '{BATCH}06' AND contentid = '{CONTENT}7'",
            world.keyspace
        ));
    };
    let seen = |user: &str| of(&world, user)["content"][0][3].clone();
    views("user002", 4);
    views("user001", 1);
    let resumed = world.resume(&run).run().exits(3);
    let left = std::fs::read_to_string(run.join("sweep.csv")).expect("it is listed");
    assert!(left.contains("added up"), "{left}{resumed}");
    assert_eq!([seen("user002"), seen("user001")], [4, 1]);
    // With the two views given back the one would be lost, or be among them.
    world.over("undo", &run).run().exits(4);
    assert_eq!([seen("user002"), seen("user001")], [4, 1]);
}
