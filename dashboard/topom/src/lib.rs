//! Pure topom: slot forms, promotion, sync actions, adoption of topology, wanted against seen.
