//! Xen's feature names in kernels and configurations (`XENFEAT_*`, features.h; elfnote.h).

use super::Fault;

/// A feature that a kernel can support or require. The numbers are Xen's (`XENFEAT_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are Xen's own, explained in features.h")]
pub enum Feature {
    WritablePageTables = 0,
    WritableDescriptorTables = 1,
    AutoTranslatedPhysmap = 2,
    SupervisorModeKernel = 3,
    PaePgdirAbove4gb = 4,
    HvmCallbackVector = 8,
    Dom0 = 11,
    LinuxRsdpUnrestricted = 15,
}

impl Feature {
    /// Those that have a name in the string form of the notes.
    const NAMED: [(&'static str, Feature); 7] = [
        ("writable_page_tables", Feature::WritablePageTables),
        ("writable_descriptor_tables", Feature::WritableDescriptorTables),
        ("auto_translated_physmap", Feature::AutoTranslatedPhysmap),
        ("supervisor_mode_kernel", Feature::SupervisorModeKernel),
        ("pae_pgdir_above_4gb", Feature::PaePgdirAbove4gb),
        ("hvm_callback_vector", Feature::HvmCallbackVector),
        ("dom0", Feature::Dom0),
    ];

    fn by_name(name: &str) -> Option<Feature> {
        Self::NAMED.iter().find(|(known, _)| *known == name).map(|(_, feature)| *feature)
    }
}

/// A set of features, as the first submap of Xen's feature bitmaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeatureSet(pub u32);

impl FeatureSet {
    /// Whether the set has a feature.
    pub fn contains(self, feature: Feature) -> bool {
        self.0 & (1 << feature as u8) != 0
    }

    /// The members that another set lacks.
    pub fn without(self, other: FeatureSet) -> FeatureSet {
        FeatureSet(self.0 & !other.0)
    }

    /// The names of the members; a bit without a name is given by its number.
    pub fn names(self) -> Vec<String> {
        let name = |bit: u32| match Feature::NAMED.iter().find(|(_, f)| *f as u32 == bit) {
            Some((name, _)) => (*name).to_owned(),
            None => format!("feature {bit}"),
        };
        (0..32).filter(|bit| self.0 & (1 << bit) != 0).map(name).collect()
    }

    fn insert(&mut self, feature: Feature) {
        self.0 |= 1 << feature as u8;
    }
}

/// What a kernel says about features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Those it can work with.
    pub supported: FeatureSet,
    /// Those it cannot work without; all of them are supported too.
    pub required: FeatureSet,
}

impl Features {
    /// Adds the names of a string such as `!writable_page_tables|dom0`: a leading `!` means required.
    ///
    /// An unknown supported feature is passed over, as it may be newer than this program; an unknown required
    /// one is an error.
    pub(super) fn add(&mut self, text: &str) -> Result<(), Fault> {
        for item in text.split('|') {
            let (name, required) = item.strip_prefix('!').map_or((item, false), |name| (name, true));
            match Feature::by_name(name) {
                Some(feature) => {
                    self.supported.insert(feature);
                    if required {
                        self.required.insert(feature);
                    }
                }
                None if required => {
                    return Err(Fault::malformed("Xen note FEATURES", format!("requires {name:?}, which Xen lacks")));
                }
                None => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_features_are_supported_too() {
        let mut features = Features::default();
        features.add("!writable_page_tables|pae_pgdir_above_4gb|from_the_future").unwrap();
        assert_eq!(features.required, FeatureSet(0x01));
        assert_eq!(features.supported, FeatureSet(0x11));
        assert_eq!(features.supported.without(features.required).names(), ["pae_pgdir_above_4gb"]);
    }

    #[test]
    fn an_unknown_required_feature_is_refused_by_name() {
        let error = Features::default().add("dom0|!telepathy").unwrap_err();
        assert_eq!(error.to_string(), "Xen note FEATURES: requires \"telepathy\", which Xen lacks");
    }
}
