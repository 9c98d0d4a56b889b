#!/usr/bin/env bash
# Run the whole tiny phantom chain through a one-node SLURM on this machine, with the data in files and
# again with it on a local S3 server, and without SLURM: the results must be the same files. Needs root
# on Debian. Whatever it starts it stops again, what it writes into /etc/slurm it removes; where a SLURM
# is configured already it does nothing.
set -euo pipefail
project=$(cd "$(dirname "$0")/../.." && pwd)
bin=$project/.venv/bin
export PATH=$PATH:/usr/sbin:/sbin

if ! command -v slurmctld >/dev/null || ! command -v munged >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null
fi

# Not in a folder of our own: jobs do not inherit SLURM_CONF.
configuration=/etc/slurm
if [ -e $configuration/slurm.conf ]; then
    echo "$configuration/slurm.conf is there: this test would disturb it"
    exit 1
fi
work=$(mktemp -d)
stop() {
    kill "$(jobs -p)" 2>/dev/null || true
    for name in slurmd slurmctld munged; do
        [ -f "$work/$name.pid" ] && kill "$(cat "$work/$name.pid")" 2>/dev/null || true
    done
    sleep 1
    rm -rf "$work" $configuration/slurm.conf $configuration/gres.conf
}
trap stop EXIT

host=$(hostname -s)
dd if=/dev/urandom of="$work/munge.key" bs=128 count=1 status=none
chmod 700 "$work"
chmod 400 "$work/munge.key"
mkdir -p $configuration
cat >$configuration/slurm.conf <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge.socket
CredType=cred/munge
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmdSpoolDir=$work/slurmd
StateSaveLocation=$work/state
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1
MpiDefault=none
ReturnToService=2
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(awk '/MemTotal/ {print int($2 / 1100)}' /proc/meminfo) Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes=$host Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=$host MaxTime=INFINITE State=UP
END
echo "NodeName=$host Name=gpu File=/dev/null" >$configuration/gres.conf
mkdir "$work/slurmd" "$work/state"

munged --force --key-file="$work/munge.key" --socket="$work/munge.socket" --pid-file="$work/munged.pid" \
    --log-file="$work/munged.log" --seed-file="$work/munge.seed"
slurmctld
slurmd -N "$host"
for _ in $(seq 30); do
    sinfo --noheader --format=%t 2>/dev/null | grep -q idle && break
    sleep 1
done
sinfo || { tail -n 20 "$work"/*.log; exit 1; }

for copy in local cluster storage; do
    mkdir "$work/$copy"
    cp -r "$project"/{Snakefile,workflow,profiles,envs,config} "$work/$copy"
    cp "$project/tests/slurm/config.yaml" "$work/$copy/config/config.yaml"
done
(cd "$work/local" && "$bin/snakemake" --cores all --quiet all)

on_cluster() {  # folder, further options
    cd "$work/$1"
    # No accounting database here, so no account and no sacct.
    "$bin/snakemake" --workflow-profile profiles/slurm --slurm-no-account --slurm-status-command squeue \
        --cores "$(nproc)" --default-resources slurm_partition=cpu mem_mb=500 \
        --set-resources train:mem_mb=2000 evaluate:mem_mb=2000 --retries 0 --latency-wait 10 \
        --seconds-between-status-checks 5 --slurm-init-seconds-before-status-checks 5 "${@:2}" ||
        { find .snakemake/slurm_logs -name "*.log" -exec tail -n 30 {} +; exit 1; }
}
(on_cluster cluster)

# The jobs inherit these, as they do on a real cluster.
export AWS_ENDPOINT_URL_S3=http://127.0.0.1:26819 AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any
"$bin/python" "$project/tests/s3_server.py" "$work/local/results/phantom" 26819 >"$work/s3.log" 2>&1 &
for _ in $(seq 30); do
    grep -q "all files are there" "$work/s3.log" && break
    sleep 1
done
(on_cluster storage --config "data={source: files, root: s3://lung/luna}")

failed=0
# Not of the data on S3: it names where each CT was read.
cmp "$work/local/results/series.csv" "$work/cluster/results/series.csv" || failed=1
for file in candidates.csv metrics.csv summary.csv runs/{first,second}/fold0/{model.pt,predictions.csv}; do
    cmp "$work/local/results/$file" "$work/cluster/results/$file" || failed=1
    cmp "$work/local/results/$file" "$work/storage/results/$file" || failed=1
done
grep -ho "SLURM jobid [0-9]*" "$work"/cluster/.snakemake/log/*.log | sort -u | wc -l |
    xargs -I{} echo "{} submissions"
[ "$failed" = 0 ] && echo "with files and with S3 the results are those of the local run"
exit $failed
