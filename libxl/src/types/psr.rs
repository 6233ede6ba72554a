//! Platform shared resources: monitoring and allocation of cache and memory bandwidth.

names! {
    /// What is monitored (`libxl_psr_cmt_type`).
    pub enum PsrCmtType {
        CacheOccupancy = 1 "cache_occupancy",
        TotalMemCount = 2 "total_mem_count",
        LocalMemCount = 3 "local_mem_count",
    }
}

names! {
    /// What is allocated (`libxl_psr_cbm_type`).
    pub enum PsrCbmType default Unknown {
        Unknown = 0 "unknown",
        L3Cbm = 1 "l3_cbm",
        L3CbmCode = 2 "l3_cbm_code",
        L3CbmData = 3 "l3_cbm_data",
        L2Cbm = 4 "l2_cbm",
        MbaThrtl = 5 "mba_thrtl",
    }
}

names! {
    /// A kind of allocation (`libxl_psr_feat_type`).
    pub enum PsrFeatType {
        Cat = 1 "cat",
        Mba = 2 "mba",
    }
}

record! {
    /// A socket's cache allocation, in libxl's older form (`libxl_psr_cat_info`).
    pub struct PsrCatInfo {
        /// The socket.
        id: u32,
        /// The highest class of service.
        cos_max: u32,
        /// The width of a capacity mask.
        cbm_len: u32,
        /// Whether code and data are told apart.
        cdp_enabled: bool,
    }
}

record! {
    /// A socket's allocation hardware (`libxl_psr_hw_info`).
    pub struct PsrHwInfo {
        /// The socket.
        id: u32,
        /// What it can do; libxl's `u`, selected by `type`.
        feature: Option<PsrFeature>,
    }
}

keyed_union! {
    /// What a socket can allocate.
    pub enum PsrFeature optional {
        /// Cache.
        Cat(PsrCat) = "type.cat",
        /// Memory bandwidth.
        Mba(PsrMba) = "type.mba";
    }
}

record! {
    /// Cache allocation.
    pub struct PsrCat {
        /// The highest class of service.
        cos_max: u32,
        /// The width of a capacity mask.
        cbm_len: u32,
        /// Whether code and data are told apart.
        cdp_enabled: bool,
    }
}

record! {
    /// Memory bandwidth allocation.
    pub struct PsrMba {
        /// The highest class of service.
        cos_max: u32,
        /// The largest throttle value.
        thrtl_max: u32,
        /// Whether throttle values are percents in even steps.
        linear: bool,
    }
}
