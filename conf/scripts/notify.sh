#!/bin/sh
# Notification script of a sentinel: appends each event to a log.
#
#   notify.sh EVENT MESSAGE
#
# The log is $CODIS_SCRIPT_LOG, or notify.log next to this script. Exit code 1 asks the sentinel to
# run the script again later, anything above ends the job as failed.
set -u
[ "$#" -eq 2 ] || { echo "usage: $0 EVENT MESSAGE" >&2; exit 2; }

log=${CODIS_SCRIPT_LOG:-$(dirname "$0")/notify.log}
now=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
printf '%s notify event=%s message="%s"\n' "$now" "$1" "$2" >>"$log" || exit 1
