//! An earlier run, as the register knows it: what planning has to look through. Nothing is merged.

use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use tributary::model::{Group, now_us};
use tributary::register::{Claim, Register, Step, WindowEnd};

use super::connection::Input;
use super::engine::{connect, plan};

/// Groups of one of its windows.
const WINDOW: usize = 4_000;

/// What it merged, and where.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    input: Input,
    /// The keyspace of the register.
    #[arg(long)]
    register: String,
    /// So many groups of the pairs at most.
    #[arg(long)]
    groups: usize,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let connection = &options.input.connection;
    let cluster = connect(&options.input).await?;
    let run = "20260101-000000-earlier";
    let register = cluster.register(&options.register, (run, None)).await?;
    let plan = plan(&options.input)?;
    let groups: Vec<Group> = plan.groups().take(options.groups).collect();
    ensure!(groups.len() == options.groups, "there are {} groups only", groups.len());
    let began = now_us() - i64::try_from(Duration::from_secs(86_400).as_micros())?;
    for (window, groups) in groups.chunks(WINDOW).enumerate() {
        let t = began + i64::try_from(window)? * 1_000_000;
        let claims: Vec<Claim> =
            groups.iter().flat_map(|group| Claim::of_group(run, group, t, Step::Merge)).collect();
        register.begin(t, &claims).await?;
        register.end(&[WindowEnd { t, open: Default::default() }]).await?;
    }
    let text = format!(
        "INSERT INTO {}.runs (keyspace_name, run, place, began, ended, state) VALUES (?, ?, 'bench:/', ?, ?, 'done')",
        options.register
    );
    let session = connection.open().await?;
    session.query_unpaged(text, (&connection.keyspace, run, began, now_us())).await?;
    Ok(())
}
