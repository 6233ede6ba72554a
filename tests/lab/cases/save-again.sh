# A guest that is restored paused and saved again before it has run: the two files differ only where they must. PV guests
# have to run a moment, for they tell themselves where their memory is.
#: timeout = 300
. /lab/lib.sh
is_ours || skip "stock xl saves no guest that is suspended"

cat > compare.py << 'END'
"""Says in which parts two files of `xl save` differ."""
import json, struct, subprocess, sys

def parts(path):
    """Each page and each other part by its name: its bytes and what dump-stream says of it."""
    told = subprocess.run(["/usr/local/lib/xen/bin/dump-stream", "--json", path], stdout=subprocess.PIPE, check=True)
    told = [json.loads(line) for line in told.stdout.splitlines()]
    content = open(path, "rb").read()
    found = {}
    for part, end in zip(told, [part["offset"] for part in told[1:]] + [len(content)]):
        body = content[part["offset"]:end]
        if part["record"] != "PAGE_DATA":
            found[" ".join([part["layer"], part["record"]] + [str(part[key]) for key in ["vcpu"] if key in part])] = body, part
            continue
        (count,) = struct.unpack_from("<I", body, 8)
        at = 16 + 8 * count
        for entry in struct.unpack_from("<%dQ" % count, body, 16):
            length = 4096 if entry >> 60 < 0xd else 0
            found["page %#x" % (entry & (1 << 52) - 1)] = body[at:at + length], entry
            at += length
    return found


def fields(one, other, name=""):
    """The names of the fields that differ."""
    if type(one) == type(other) and isinstance(one, (dict, list)) and len(one) == len(other):
        keys = one if isinstance(one, dict) else range(len(one))
        return {field for key in keys for field in fields(one[key], other.get(key) if isinstance(one, dict) else other[key],
                                                          key if isinstance(key, str) else name)}
    return set() if one == other else {name}


first, second = map(parts, sys.argv[1:])
if list(first) != list(second):
    print("other parts, or another order")
differ = [part for part in first if first[part] != second.get(part)]
pages = [part for part in differ if part.startswith("page")]
print("pages:", " ".join(page[5:] for page in pages) if len(pages) < 10
      else "up to 2%" if len(pages) * 50 <= len(first) else len(pages))
for part in differ:
    if part not in pages:
        print(" ".join([part] + sorted(fields(first[part][1], second[part][1]) - {""})))
END

# The rings to xenstored and xenconsoled begin anew, time goes on, and Xen gives the empty selectors of a PV guest a level.
cat > expected.pvh << 'END'
pages: 0xfeffc 0xfefff
libxc X86_TSC_INFO incarnation nsec
libxc HVM_CONTEXT tsc
END
cat > expected.pv << 'END'
pages: up to 2%
libxc X86_TSC_INFO incarnation nsec
libxc SHARED_INFO
libxc X86_PV_VCPU_BASIC 0
libxc X86_PV_VCPU_EXTENDED 0
libxc X86_PV_VCPU_BASIC 1
libxc X86_PV_VCPU_EXTENDED 1
END
host_state > before
for kind in pvh pv; do
    echo "== $kind"
    linux kept $kind | sed /^tsc_mode/d > kept.cfg # Xen tells of time that goes on where it makes the time
    [ $kind = pvh ] || sed -i 's/^vcpus = 1/vcpus = 2/' kept.cfg # see `holder`
    start_ticking kept
    run xl save kept first.save
    run xl restore -p first.save
    tick=$(last_tick kept)
    if [ $kind = pvh ]; then
        # As if it had suspended itself again.
        suspends_itself kept
    else
        run xl unpause kept
    fi
    run xl save kept second.save
    python3 compare.py first.save second.save > differ
    cat differ
    # A processor that slept all the while is as it was.
    ! grep -vxFf expected.$kind differ || fail "more differs than must"
    run xl restore second.save
    goes_on kept "$tick"
    run xl destroy kept
    nothing_left before
done
