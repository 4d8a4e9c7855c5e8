//! Drop-in for codis-dashboard: one authority for slots, groups and proxies.
