//! A simulated cluster under a simulated clock: nothing here sleeps.

use super::*;

/// A cluster that works on so many requests at once; each takes a while, and a read takes longer the more there are.
struct Cluster {
    now: Instant,
    steer: Steer,
    in_flight: f64,
    answers: f64,
    /// When the next read is over, and what it takes.
    read: (Instant, Duration),
    random: fastrand::Rng,
    /// Requests that are worked on at once.
    busy_at: f64,
    /// What a read takes on an idle cluster, and for each request more, in milliseconds.
    idle_ms: f64,
    per_request_ms: f64,
    /// It answers a tenth, and says that it is overloaded.
    is_overloaded: bool,
}

/// What a stretch of time was like, on average.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    limit: f64,
    per_second: f64,
    /// The part of reads that took longer than 20 ms.
    slow: f64,
}

const TICK: Duration = Duration::from_millis(10);
const REQUEST: Duration = Duration::from_millis(20);
const BOUND: Duration = Duration::from_millis(20);

impl Cluster {
    fn new(in_flight: InFlight, max_latency: Option<Duration>) -> Self {
        let now = Instant::now();
        Self {
            now,
            steer: Steer::new(in_flight, max_latency, now),
            in_flight: 0.0,
            answers: 0.0,
            read: (now, Duration::ZERO),
            random: fastrand::Rng::with_seed(11),
            busy_at: 64.0,
            idle_ms: 2.0,
            per_request_ms: 0.5,
            is_overloaded: false,
        }
    }

    /// Goes on for so long; the run always has more to send.
    fn run(&mut self, seconds: u64) -> Seen {
        let mut seen = Seen::default();
        let ticks = seconds * 100;
        let (mut reads, mut slow) = (0.0, 0.0);
        for _ in 0..ticks {
            self.now += TICK;
            let part = if self.is_overloaded { 0.1 } else { 1.0 };
            let ended = self.in_flight.min(self.busy_at) * part * TICK.as_secs_f64()
                / REQUEST.as_secs_f64();
            self.answers += ended;
            self.in_flight -= ended;
            while self.answers >= 1.0 {
                self.answers -= 1.0;
                self.steer.answered(1, self.now);
            }
            if self.is_overloaded {
                self.steer.overloaded(self.now);
            }
            while self.in_flight + 1.0 <= self.steer.limit() as f64 {
                self.in_flight += 1.0;
                self.steer.waited();
                self.steer.sent();
            }
            if self.now >= self.read.0 {
                self.steer.observe_read(self.read.1, self.now);
                reads += 1.0;
                slow += f64::from(u8::from(self.read.1 > BOUND));
                let noise = 0.9 + self.random.f64() * 0.2;
                let more = if self.is_overloaded { 200.0 } else { 0.0 };
                let took = (self.idle_ms + self.per_request_ms * self.in_flight + more) * noise;
                let took = Duration::from_secs_f64(took / 1e3);
                self.read = (self.now + took.max(TICK), took);
            }
            seen.limit += self.steer.limit() as f64 / ticks as f64;
            seen.per_second += ended / seconds as f64;
        }
        seen.slow = slow / reads;
        seen
    }
}

const WAYS: [InFlight; 2] = [InFlight::Auto, InFlight::Fixed(200)];

#[test]
fn it_settles_near_the_bound_and_follows_what_changes() {
    for way in WAYS {
        let mut cluster = Cluster::new(way, Some(BOUND));
        cluster.busy_at = 500.0;
        cluster.run(60);
        // 20 ms are reached by 36 requests, and with the unrest of reads by 32.
        let seen = cluster.run(120);
        assert!((22.0..=36.0).contains(&seen.limit), "{way}: {seen:?}");
        assert!(seen.slow < 0.05, "{way}: {seen:?}");
        assert!(cluster.steer.held().is_some_and(|held| !held.is_least), "{way}");
        // Others come, and reads take twice as long: 18 and 16 requests.
        cluster.per_request_ms = 1.0;
        cluster.run(10);
        let seen = cluster.run(60);
        assert!((10.0..=18.0).contains(&seen.limit), "{way}: {seen:?}");
        assert!(seen.slow < 0.05, "{way}: {seen:?}");
        // They go again.
        cluster.per_request_ms = 0.5;
        cluster.run(30);
        let seen = cluster.run(60);
        assert!((22.0..=36.0).contains(&seen.limit), "{way}: {seen:?}");
    }
}

/// A bound that is never reached changes nothing.
#[test]
fn a_bound_that_is_far_off_holds_nothing_back() {
    for way in [InFlight::Auto, InFlight::Fixed(48)] {
        let mut cluster = Cluster::new(way, Some(Duration::from_secs(1)));
        cluster.run(120);
        let bounded = cluster.run(60);
        assert_eq!(cluster.steer.held(), None);
        let mut free = Cluster::new(way, None);
        free.run(120);
        let free = free.run(60);
        assert!((bounded.limit - free.limit).abs() < 1.0, "{bounded:?} {free:?}");
    }
}

/// Where its requests are what makes reads slow, and where it is others.
#[test]
fn after_an_overload_of_five_seconds_it_is_back_within_thirty() {
    for way in WAYS {
        for bound in [None, Some(BOUND)] {
            for busy_at in [16.0, 64.0, 250.0] {
                let mut cluster = Cluster::new(way, bound);
                cluster.busy_at = busy_at;
                cluster.run(180);
                let before = cluster.run(60).per_second;
                cluster.is_overloaded = true;
                cluster.run(5);
                assert!(cluster.steer.limit() < 10, "{way} {bound:?}: it does not react");
                cluster.is_overloaded = false;
                cluster.run(30);
                let after = cluster.run(10).per_second;
                assert!(after >= 0.9 * before, "{way} {bound:?} {busy_at}: {before} {after}");
            }
        }
    }
}

#[test]
fn a_cluster_that_is_always_slower_leaves_one_request_at_a_time() {
    for way in WAYS {
        let mut cluster = Cluster::new(way, Some(BOUND));
        (cluster.idle_ms, cluster.per_request_ms) = (32.0, 0.01);
        cluster.run(30);
        let seen = cluster.run(60);
        assert!(seen.limit < 1.01, "{way}: {seen:?}");
        let held = cluster.steer.held().expect("it is held back");
        assert!(held.is_least, "{held:?}");
        let text = held.to_string();
        assert_eq!(text, "held back by --max-latency: a read takes 35 ms");
        // And once it is quick, it does not stay there.
        cluster.idle_ms = 2.0;
        cluster.run(30);
        assert!(cluster.steer.limit() >= 16, "{way}");
    }
}

/// Requests of one time are admitted under one limit, and one overload halves it once.
#[test]
fn an_overload_halves_the_limit_once_a_second() {
    for way in WAYS {
        let now = Instant::now();
        let mut steer = Steer::new(way, None, now);
        let before = steer.limit();
        assert!(steer.overloaded(now) && !steer.overloaded(now + REACTION / 2));
        assert_eq!(steer.limit(), before / 2);
        assert!(steer.overloaded(now + REACTION));
        assert_eq!((steer.limit(), steer.overloads()), (before / 4, 2));
    }
}

#[test]
fn answers_raise_the_limit_again_and_no_sooner_than_a_second_after_an_overload() {
    let now = Instant::now();
    let mut steer = Steer::new(InFlight::Fixed(64), None, now);
    steer.overloaded(now);
    (0..1_000).for_each(|_| steer.answered(1, now + REACTION / 2));
    assert_eq!(steer.limit(), 32);
    let answers = (0..1_000).take_while(|_| {
        steer.answered(1, now + REACTION);
        steer.limit() < 64
    });
    assert!((32..1_000).contains(&answers.count()), "it recovers only by what is answered");
}
