//! Drop-in for codis-admin: the command line of a Codis cluster.
