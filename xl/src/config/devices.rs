//! The smaller devices: virtual TPMs, 9pfs shares, PV calls, displays, keyboards and channels (xl.cfg(5)).

use super::diagnostic::Diagnostics;
use super::items::{self, boolean_of, number_of};
use super::keys;
use super::number;
use super::source::{Span, Text};
use libxl::types::{
    ChannelEnd, ChannelSocket, ConnectorParam, DeviceChannel, DeviceP9, DevicePvcallsif, DeviceVdispl, DeviceVkb,
    DeviceVtpm, P9Type, Uuid, VkbBackend,
};

/// Takes one `key=value` into a virtual TPM. Whether it was right.
pub(crate) fn vtpm_parameter(token: Text<'_>, vtpm: &mut DeviceVtpm, diagnostics: &mut Diagnostics) -> bool {
    let Some((key, value)) = items::pair(token, "a virtual TPM", keys::VTPM, diagnostics) else { return false };
    match key {
        "backend" => vtpm.backend_domname = Some(value.text.to_string()),
        _ => match uuid(value, diagnostics) {
            Some(uuid) => vtpm.uuid = uuid,
            None => return false,
        },
    }
    true
}

/// A virtual TPM: its backend is required.
pub(crate) fn vtpm(spec: Text<'_>, diagnostics: &mut Diagnostics) -> Option<DeviceVtpm> {
    let mut vtpm = DeviceVtpm::default();
    if !items::pairs_of(spec, diagnostics).into_iter().all(|token| vtpm_parameter(token, &mut vtpm, diagnostics)) {
        return None;
    }
    if vtpm.backend_domname.is_none() {
        diagnostics.error(spec.span, "a virtual TPM needs backend=, the domain of its manager");
        return None;
    }
    Some(vtpm)
}

/// A UUID in its usual form, with hyphens.
pub(crate) fn uuid(value: Text<'_>, diagnostics: &mut Diagnostics) -> Option<Uuid> {
    let uuid = Uuid::parse_str(value.text).ok().filter(|_| value.text.len() == 36);
    if uuid.is_none() {
        diagnostics
            .error(value.span, format!("not a UUID: `{}'", value.text))
            .help("a UUID is 32 hexadecimal digits, as 11111111-2222-3333-4444-555555555555");
    }
    uuid
}

/// A 9pfs share of the guest of this name: `security_model` is required, and `tag` and `path` unless Xen's own daemon
/// (of later versions than 4.17) serves it, which the limits are for.
pub(crate) fn p9(spec: Text<'_>, guest: &str, diagnostics: &mut Diagnostics) -> Option<DeviceP9> {
    let mut p9 = DeviceP9::default();
    let mut limit = None;
    for token in items::pairs_of(spec, diagnostics) {
        let (key, value) = items::pair(token, "a 9pfs share", keys::P9, diagnostics)?;
        let text = || Some(value.text.to_string());
        match key {
            "tag" => p9.tag = text(),
            "path" => p9.path = text(),
            "security_model" => p9.security_model = text(),
            "backend" => p9.backend_domname = text(),
            "type" => {
                items::choice(value, "type", &mut p9.type_, diagnostics).then_some(())?;
                if p9.type_ == P9Type::Xen9pfsd {
                    let found = diagnostics.not_here(token.span, format!("`{}' {}", token.text, keys::NEEDS_LATER));
                    found.help("type=qemu shares a directory too, without limits");
                }
            }
            "max-space" => p9.max_space = items::decimal(value, diagnostics)?,
            "max-files" => p9.max_files = items::decimal(value, diagnostics)?,
            "max-open-files" => p9.max_open_files = items::decimal(value, diagnostics)?,
            _ => boolean_of(value, 0, &mut p9.auto_delete, diagnostics),
        }
        if matches!(key, "max-space" | "max-files" | "max-open-files" | "auto-delete") {
            limit = Some(token);
        }
    }
    if p9.type_ == P9Type::Xen9pfsd {
        p9.path.get_or_insert_with(|| format!("/var/log/xen/guests/{guest}"));
        p9.tag.get_or_insert_with(|| "Xen".to_string());
    } else if let Some(limit) = limit {
        let message = format!("`{}' without type=xen_9pfsd: other 9pfs shares have no limits", limit.text);
        diagnostics.error(limit.span, message);
        return None;
    }
    for (field, key) in [(&p9.tag, "tag"), (&p9.path, "path"), (&p9.security_model, "security_model")] {
        if field.is_none() {
            let found = diagnostics.error(spec.span, format!("a 9pfs share needs {key}="));
            found.help("as \"tag=NAME,path=/DIRECTORY,security_model=none\"");
            return None;
        }
    }
    Some(p9)
}

/// A PV calls interface.
pub(crate) fn pvcalls(spec: Text<'_>, diagnostics: &mut Diagnostics) -> Option<DevicePvcallsif> {
    let mut pvcalls = DevicePvcallsif::default();
    for token in items::pairs_of(spec, diagnostics) {
        let (_, value) = items::pair(token, "a PV calls interface", keys::PVCALLS, diagnostics)?;
        pvcalls.backend_domname = Some(value.text.to_string());
    }
    Some(pvcalls)
}

/// Takes one `key=value` into a display. Whether it was right.
pub(crate) fn vdispl_parameter(token: Text<'_>, vdispl: &mut DeviceVdispl, diagnostics: &mut Diagnostics) -> bool {
    let Some((key, value)) = items::pair(token, "a virtual display", keys::VDISPL, diagnostics) else { return false };
    match key {
        "backend" => vdispl.backend_domname = Some(value.text.to_string()),
        "be-alloc" => boolean_of(value, 0, &mut vdispl.be_alloc, diagnostics),
        _ => {
            let mut connectors = Vec::new();
            for connector in value.tokens(&[';']) {
                match connector_of(connector.text) {
                    Some(c) => connectors.push(c),
                    None => {
                        diagnostics
                            .error(connector.span, format!("not a connector: `{}'", connector.text))
                            .help("connectors are ID:WIDTHxHEIGHT, with `;' between them");
                        return false;
                    }
                }
            }
            vdispl.connectors = connectors;
        }
    }
    true
}

/// A display: at least one connector is required.
pub(crate) fn vdispl(spec: Text<'_>, diagnostics: &mut Diagnostics) -> Option<DeviceVdispl> {
    let mut vdispl = DeviceVdispl::default();
    for token in items::tokens(spec) {
        if !vdispl_parameter(token, &mut vdispl, diagnostics) {
            return None;
        }
    }
    if vdispl.connectors.is_empty() {
        diagnostics.error(spec.span, "a virtual display needs a connector").help("write connectors=ID:WIDTHxHEIGHT");
        return None;
    }
    Some(vdispl)
}

fn connector_of(text: &str) -> Option<ConnectorParam> {
    let (id, resolution) = text.split_once(':')?;
    let width = number::leading(resolution, 10)?;
    let height = number::leading(width.rest.strip_prefix('x')?, 10)?;
    Some(ConnectorParam {
        unique_id: Some(id.to_string()),
        width: u32::try_from(width.value).ok()?,
        height: u32::try_from(height.value).ok()?,
    })
}

/// Takes one `key=value` into a keyboard. Whether it was right.
pub(crate) fn vkb_parameter(token: Text<'_>, vkb: &mut DeviceVkb, diagnostics: &mut Diagnostics) -> bool {
    let Some((key, value)) = items::pair(token, "a virtual keyboard", keys::VKB, diagnostics) else { return false };
    match key {
        "backend" => vkb.backend_domname = Some(value.text.to_string()),
        "backend-type" => return items::choice(value, "backend-type", &mut vkb.backend_type, diagnostics),
        "unique-id" => vkb.unique_id = Some(value.text.to_string()),
        "feature-disable-keyboard" => boolean_of(value, 0, &mut vkb.feature_disable_keyboard, diagnostics),
        "feature-disable-pointer" => boolean_of(value, 0, &mut vkb.feature_disable_pointer, diagnostics),
        "feature-abs-pointer" => boolean_of(value, 0, &mut vkb.feature_abs_pointer, diagnostics),
        "feature-raw-pointer" => boolean_of(value, 0, &mut vkb.feature_raw_pointer, diagnostics),
        "feature-multi-touch" => boolean_of(value, 0, &mut vkb.feature_multi_touch, diagnostics),
        "multi-touch-width" => return number_of(value, 0, &mut vkb.multi_touch_width, diagnostics),
        "multi-touch-height" => return number_of(value, 0, &mut vkb.multi_touch_height, diagnostics),
        "multi-touch-num-contacts" => return number_of(value, 0, &mut vkb.multi_touch_num_contacts, diagnostics),
        "width" => return number_of(value, 0, &mut vkb.width, diagnostics),
        _ => return number_of(value, 0, &mut vkb.height, diagnostics),
    }
    true
}

/// A keyboard.
pub(crate) fn vkb(spec: Text<'_>, diagnostics: &mut Diagnostics) -> Option<DeviceVkb> {
    let mut vkb = DeviceVkb::default();
    let right = items::tokens(spec).all(|token| vkb_parameter(token, &mut vkb, diagnostics))
        && complete_vkb(&mut vkb, spec.span, diagnostics);
    right.then_some(vkb)
}

/// What follows from a keyboard's parameters: its backend-type is required, and multi-touch needs its dimensions.
pub(crate) fn complete_vkb(vkb: &mut DeviceVkb, span: Span, diagnostics: &mut Diagnostics) -> bool {
    if vkb.backend_type == VkbBackend::Unknown {
        diagnostics.error(span, "a virtual keyboard needs backend-type=qemu or backend-type=linux");
        return false;
    }
    let has_dimensions = vkb.multi_touch_width > 0 || vkb.multi_touch_height > 0 || vkb.multi_touch_num_contacts > 0;
    if vkb.feature_multi_touch && !has_dimensions {
        diagnostics
            .error(span, "multi-touch needs multi-touch-width=, multi-touch-height= and multi-touch-num-contacts=");
        return false;
    }
    vkb.feature_multi_touch = has_dimensions;
    true
}

/// A channel: its connection is required, and a socket's path.
pub(crate) fn channel(spec: Text<'_>, diagnostics: &mut Diagnostics) -> Option<DeviceChannel> {
    let mut channel = DeviceChannel::default();
    let mut path = None;
    for token in spec.tokens(&[',']) {
        // Of `key=value=more` the rest is dropped, and an empty value is none.
        let mut parts = token.tokens(&['=']).map(Text::trim);
        let (Some(key), Some(value)) = (parts.next(), parts.next()) else {
            diagnostics
                .error(token.span, format!("not a parameter of a channel: `{}'", token.text))
                .help("write key=value");
            return None;
        };
        match key.text {
            "backend" => channel.backend_domname = Some(value.text.to_string()),
            "name" => channel.name = Some(value.text.to_string()),
            "path" => path = Some(value.text.to_string()),
            "connection" => match value.text {
                "pty" => channel.connection = ChannelEnd::Pty,
                "socket" => channel.connection = ChannelEnd::Socket(ChannelSocket::default()),
                unknown => {
                    diagnostics
                        .error(value.span, format!("unknown connection `{unknown}'"))
                        .help("a channel's connection is pty or socket");
                    return None;
                }
            },
            unknown => {
                diagnostics.ignored(key.span, format!("a channel has no parameter `{unknown}'"));
            }
        }
    }
    match &mut channel.connection {
        ChannelEnd::Unknown => {
            diagnostics.error(spec.span, "a channel needs connection=pty or connection=socket");
            return None;
        }
        ChannelEnd::Socket(socket) => {
            if path.is_none() {
                diagnostics.error(spec.span, "a channel by socket needs path=");
                return None;
            }
            socket.path = path;
        }
        ChannelEnd::Pty => {}
    }
    Some(channel)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(parse: fn(Text<'_>, &mut Diagnostics) -> Option<T>, spec: &str) -> Option<T> {
        let mut diagnostics = Diagnostics::new(false);
        let found = parse(Text::new(spec, Default::default()), &mut diagnostics);
        assert_eq!(found.is_none(), diagnostics.has_errors(), "{spec}");
        found
    }

    fn share(spec: &str) -> Option<DeviceP9> {
        read(|spec, diagnostics| p9(spec, "guest", diagnostics), spec)
    }

    /// The daemon's shares have defaults and limits, and no guest gets one on this Xen.
    #[test]
    fn shares_of_later_versions() {
        let found = share("type=xen_9pfsd,security_model=none,max-files=10,auto-delete=1").unwrap();
        assert_eq!((found.type_, found.max_files, found.auto_delete), (P9Type::Xen9pfsd, 10, true));
        assert_eq!((found.tag.as_deref(), found.path.as_deref()), (Some("Xen"), Some("/var/log/xen/guests/guest")));
        let qemu = "tag=t,path=/p,security_model=none,type=QEMU";
        assert_eq!(share(qemu).unwrap().type_, P9Type::Qemu);
        for wrong in ["max-files=1", "auto-delete=0", "max-space=", "max-open-files=4294967296", "type=nfs"] {
            assert!(share(&format!("{qemu},{wrong}")).is_none(), "{wrong}");
        }
        let mut creation = Diagnostics::for_creation(false);
        p9(Text::new("type=xen_9pfsd,security_model=none", Default::default()), "guest", &mut creation);
        assert!(creation.has_errors());
    }

    #[test]
    fn required_parameters() {
        assert!(read(vtpm, "backend=d").is_some() && read(vtpm, "").is_none() && read(vtpm, "uuid=x").is_none());
        assert!(share("tag=t,path=/p,security_model=none").is_some() && share("tag=t,path=/p").is_none());
        assert!(read(pvcalls, "").is_some() && read(pvcalls, "x=d").is_none());
        assert!(read(vkb, "backend-type=qemu").is_some() && read(vkb, "unique-id=u").is_none());
        assert!(read(channel, "connection=pty,name=n").is_some() && read(channel, "name=n").is_none());
        assert!(read(channel, "connection=socket").is_none() && read(channel, "").is_none());
    }

    #[test]
    fn displays() {
        let display = read(vdispl, "connectors=a:800x600;b:1x2,be-alloc=1").unwrap();
        assert_eq!(display.connectors.len(), 2);
        assert_eq!((display.connectors[0].width, display.be_alloc), (800, true));
        for bad in ["be-alloc=1", "connectors=a:800", "connectors=a", "connectors=a:x", "foo=1", ""] {
            assert!(read(vdispl, bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn multi_touch_follows_from_its_dimensions() {
        assert!(read(vkb, "backend-type=qemu,multi-touch-width=1").unwrap().feature_multi_touch);
        assert!(read(vkb, "backend-type=qemu,feature-multi-touch=1").is_none());
    }

    #[test]
    fn channels_are_trimmed() {
        let found = read(channel, " connection = pty , name = n n ").unwrap();
        assert_eq!(found.name.unwrap(), "n n");
        assert_eq!(read(channel, "connection=pty,name=a=b").unwrap().name.unwrap(), "a");
    }
}
