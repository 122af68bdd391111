//! Amazon's Route 53, as moto serves it, keeps ten names for the agent.

use super::ten::{Service, Ten};
use super::Scenario;
use crate::lab::*;
use anyhow::{ensure, Result};
use domain::base::Rtype;
use nix::sys::signal::Signal;
use std::net::IpAddr;

/// With moto's server.
pub const MOTO: Scenario = Scenario {
    name: "route53-moto",
    about: "Route 53 by moto, which checks signatures: ten names made, changed, left alone; a wrong key told",
    needs: moto::NEEDS,
    limit: Duration::from_secs(120),
    slow: false,
    run,
};

impl Service for Moto<'_> {
    fn writes(&self) -> usize {
        self.requests().iter().filter(|(request, _)| request.starts_with("POST ")).count()
    }

    fn held(&self, name: &str, rtype: Rtype) -> Result<Vec<(IpAddr, u32)>> {
        Moto::held(self, name, rtype)
    }
}

fn run(lab: &mut Lab) -> Result<Summary> {
    let moto = Moto::start(lab)?;
    let mut ten = Ten::new(lab)?;
    let options = options(&moto.key_id, &moto.key_secret);
    let mut summary = Summary::line(ten.keeps(&moto, &options, "is no plain address", 1)?);
    let first: Vec<String> = moto.requests().into_iter().map(|(request, _)| request).take(3).collect();
    summary.0.push(format!("a first pass: {}; every signature was right by botocore", first.join(", ")));
    summary.0.push(wrong_key(lab, &moto, &mut ten, &options)?);
    summary.0.push(ten.leaves_out(&options)?);
    Ok(summary)
}

fn options(id: &str, secret: &str) -> String {
    format!(
        "\toption provider 'route53'\n\toption url 'http://{}'\n\toption key_id '{id}'\n\toption key_secret '{secret}'\n",
        moto::AT
    )
}

/// A wrong secret, then an unknown id: each is told by the first answer, and nothing is asked again.
fn wrong_key(lab: &Lab, moto: &Moto, ten: &mut Ten, right: &str) -> Result<String> {
    let mut words = Vec::new();
    let id: String = moto.key_id.chars().rev().collect();
    for wrong in [options(&moto.key_id, "wrong"), options(&id, &moto.key_secret)] {
        ten.configure(&wrong, &[NAME])?;
        ten.readdress()?;
        let before = moto.requests().len();
        let mut agent = lab.start_agent()?;
        let stand = ten.stand(NAME)?;
        ensure!(stand.class == "credentials", "{stand:?}");
        lab.verb(&["trigger", "wan", "wan"])?.success()?;
        lab.verb(&["once"])?;
        let sent = moto.requests().split_off(before);
        ensure!(
            sent.len() == 1 && sent.iter().all(|(_, status)| *status == 403),
            "with a wrong key: {sent:?}"
        );
        words.push(stand.text);
        ten.configure(right, &[NAME])?;
        agent.signal(Signal::SIGHUP)?;
        let published = || (ten.stand(NAME).ok()?.standing == "published").then_some(());
        until("the right key is taken", 5 * SECOND, published)?;
        agent.stop(SECOND)?;
    }
    Ok(format!("wrong keys, one request each, then it rests: {}", words.join("; ")))
}
