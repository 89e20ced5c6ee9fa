#!/usr/bin/env bash
# A Slurm cluster of two nodes on this one machine, for tests: slurmctld and two slurmd in a folder of their own.
#
#     local_cluster.sh start FOLDER    prints the path of the slurm.conf; export it as SLURM_CONF
#     local_cluster.sh stop FOLDER     ends all jobs and daemons
#
# Needs root (slurmd starts jobs as their users) and Debian's slurmctld, slurmd and slurm-client. Ports are free ones,
# so that clusters of several checkouts do not meet.
set -euo pipefail

action=${1:?start or stop}
folder=$(realpath -m "${2:?a folder}")

free_ports() {  # three ports that nobody listens on
  python3 - <<'PYTHON'
import socket
sockets = [socket.socket() for _ in range(3)]
for s in sockets:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))
PYTHON
}

write_configuration() {
  local controller node1 node2 cores
  read -r controller node1 node2 < <(free_ports)
  cores=$(nproc)
  mkdir -p "$folder"/{state,log,node1/{spool,tmp},node2/{spool,tmp}}
  # A TmpFS of its own per node: PMIx keeps its sockets there, and two nodes on one machine would share them. Memory is
  # no consumable, and each node claims every core: the two nodes share the machine anyway.
  cat > "$folder/slurm.conf" <<CONF
ClusterName=terrane
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$controller
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_min_interval=0
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/%n/spool
SlurmdPidFile=$folder/%n/slurmd.pid
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdLogFile=$folder/log/%n.log
SlurmctldLogFile=$folder/log/slurmctld.log
TmpFS=$folder/%n/tmp
KillWait=10
OverTimeLimit=0
ReturnToService=2
MinJobAge=300
NodeName=node1 NodeAddr=127.0.0.1 NodeHostname=$(hostname -s) Port=$node1 CPUs=$cores State=UNKNOWN
NodeName=node2 NodeAddr=127.0.0.1 NodeHostname=$(hostname -s) Port=$node2 CPUs=$cores State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes=node[1-2] Default=YES MaxTime=60 DefaultTime=10 State=UP OverSubscribe=NO PriorityTier=10 PreemptMode=OFF
PartitionName=low Nodes=node[1-2] MaxTime=60 DefaultTime=10 State=UP OverSubscribe=NO PriorityTier=1 PreemptMode=REQUEUE GraceTime=60
CONF
}

case "$action" in
  start)
    [ "$(id -u)" -eq 0 ] || { echo "local_cluster: needs root" >&2; exit 1; }
    write_configuration
    export SLURM_CONF="$folder/slurm.conf"
    slurmctld -c -f "$SLURM_CONF"
    for node in node1 node2; do slurmd -c -N "$node" -f "$SLURM_CONF"; done
    for _ in $(seq 60); do
      if [ "$(sinfo -h -N -p main -o '%N %t' 2>/dev/null | grep -c ' idle$')" -eq 2 ]; then
        echo "$SLURM_CONF"
        exit 0
      fi
      sleep 0.5
    done
    echo "local_cluster: the nodes did not become idle within 30 s; see $folder/log" >&2
    tail -n 5 "$folder"/log/*.log >&2
    "$0" stop "$folder"
    exit 1
    ;;
  stop)
    export SLURM_CONF="$folder/slurm.conf"
    [ -f "$SLURM_CONF" ] || exit 0
    timeout 10 scancel --state=RUNNING --state=PENDING -u "$(id -un)" 2>/dev/null || true
    for pid in "$folder"/slurmctld.pid "$folder"/node1/slurmd.pid "$folder"/node2/slurmd.pid; do
      if [ -f "$pid" ]; then kill "$(cat "$pid")" 2>/dev/null || true; fi
    done
    daemons="^(/usr/sbin/)?slurm(ctld|d) .*$folder/slurm.conf"
    for _ in $(seq 20); do
      pgrep -f "$daemons" >/dev/null || exit 0
      sleep 0.5
    done
    pkill -9 -f "$daemons" || true
    ;;
  *)
    echo "local_cluster: start or stop, not $action" >&2
    exit 2
    ;;
esac
