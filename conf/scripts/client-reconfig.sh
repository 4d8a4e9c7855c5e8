#!/bin/sh
# Client reconfiguration script of a sentinel: appends each change of a master to a log. Proxies need
# no such script; it is the place for clients that know the master by DNS name or by a load balancer.
#
#   client-reconfig.sh NAME ROLE STATE FROM-IP FROM-PORT TO-IP TO-PORT
#
# ROLE is `leader` on the sentinel that led the failover and `observer` on the others. The log is
# $CODIS_SCRIPT_LOG, or client-reconfig.log next to this script. Exit code 1 asks for another run.
set -u
[ "$#" -eq 7 ] || { echo "usage: $0 NAME ROLE STATE FROM-IP FROM-PORT TO-IP TO-PORT" >&2; exit 2; }

log=${CODIS_SCRIPT_LOG:-$(dirname "$0")/client-reconfig.log}
now=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
printf '%s client-reconfig name=%s role=%s state=%s from=%s:%s to=%s:%s\n' \
    "$now" "$1" "$2" "$3" "$4" "$5" "$6" "$7" >>"$log" || exit 1
