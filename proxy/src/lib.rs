//! Drop-in for codis-proxy: shards Redis over slots and follows failovers by epoch.
