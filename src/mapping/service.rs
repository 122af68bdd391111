//! Mappings as data of a procd service, which fw4 reads on every reload: `ubus call service ..`. procd keeps them
//! over a crash of ours, and has fw4 reload about a second after they change. Source: procd, service/service.c.

use super::door::Door;
use super::redirect::Redirect;
use crate::act::ubus::{Fault, Ubus};
use crate::map::Set;
use crate::wire::json::{array, Json, Object};
use smol::future::Future;

/// The name that our data has in procd; it is no service with a process.
pub const NAME: &str = "porchlight_mappings";
/// How the comments of fw4's rules for them begin, after `!fw4: `.
pub const MARK: &str = "ubus:porchlight_mappings[";

/// fw4's redirects as procd carries them. Each has a `type`: without it fw4 leaves one out in silence.
pub(super) fn redirects(list: &[Redirect]) -> String {
    array(list.iter().map(|redirect| {
        let object = Object::new().str("type", redirect.kind());
        redirect.options().iter().fold(object, |object, (key, value)| object.str(key, value)).end()
    }))
}

/// What procd has of ours; null: nothing.
pub(super) async fn read(ubus: &Ubus) -> Result<Json, Fault> {
    Ok(data(&service(ubus).await?).clone())
}

/// Our service as procd lists it; null: it knows none.
async fn service(ubus: &Ubus) -> Result<Json, Fault> {
    let message = Object::new().str("name", NAME).end();
    let answer = ubus.call("service", "list", &message).await?;
    Ok(answer.get(NAME).clone())
}

/// The redirects of a service.
fn data(service: &Json) -> &Json {
    service.get("data").get("firewall")
}

/// Makes procd carry exactly these. Says whether they differ from those before: then fw4 reloads soon.
pub(super) async fn write(ubus: &Ubus, list: &[Redirect]) -> Result<bool, Fault> {
    let service = service(ubus).await?;
    let before = data(&service);
    if list.is_empty() {
        if !service.is_null() {
            remove(ubus).await?;
        }
        return Ok(!before.items().is_empty());
    }
    let redirects = redirects(list);
    if Json::parse(&redirects).is_ok_and(|wanted| are_same(&wanted, before)) {
        return Ok(false);
    }
    let data = Object::new().raw("firewall", &redirects).end();
    let message = Object::new().str("name", NAME).raw("data", &data).end();
    ubus.call("service", "add", &message).await?;
    Ok(true)
}

/// Whether two lists have the same objects, in whatever order their options stand.
fn are_same(a: &Json, b: &Json) -> bool {
    let same = |(a, b): (&Json, &Json)| {
        a.entries().len() == b.entries().len() && a.entries().iter().all(|(key, value)| b.get(key) == value)
    };
    a.items().len() == b.items().len() && a.items().iter().zip(b.items()).all(same)
}

/// Takes all of ours away. They are emptied first: procd tells nobody of data that went with its service.
async fn remove(ubus: &Ubus) -> Result<(), Fault> {
    let name = Object::new().str("name", NAME);
    ubus.call("service", "add", &name.clone().raw("data", "{}").end()).await?;
    match ubus.call("service", "delete", &name.end()).await {
        Ok(_) | Err(Fault::Missing) => Ok(()),
        Err(fault) => Err(fault),
    }
}

/// Has procd tell fw4 to reload, as it does when data changes.
pub(super) fn nudge(ubus: &Ubus) -> impl Future<Output = Result<(), Fault>> + '_ {
    event(ubus, "service.data.update", "name", "firewall")
}

/// Has procd tell whoever listens that a configuration was changed, as `reload_config` does.
pub(super) fn config_changed<'a>(
    ubus: &'a Ubus,
    package: &'a str,
) -> impl Future<Output = Result<(), Fault>> + 'a {
    event(ubus, "config.change", "package", package)
}

/// Has procd tell of something that happened to what is named under this key.
async fn event(ubus: &Ubus, kind: &str, key: &str, name: &str) -> Result<(), Fault> {
    let data = Object::new().str(key, name).end();
    let message = Object::new().str("type", kind).raw("data", &data).end();
    ubus.call("service", "event", &message).await.map(drop)
}

/// The doors that data of ours opens.
pub(super) fn doors(data: &Json) -> Set<Door> {
    data.items().iter().filter_map(door).collect()
}

fn door(redirect: &Json) -> Option<Door> {
    Door::of_options(redirect.get("type").str().unwrap_or_default(), &|key| redirect.get(key).str())
}
