SUMMARY = "From camera frames to brake and alert, and models over the air"
DESCRIPTION = "The loop (camera to command, no internet) and the agent (internet, no camera), with their units, users and \
folders. Nothing is started before somebody enables it."
SECTION = "base"
LICENSE = "Apache-2.0 | MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/Apache-2.0;md5=89aea4e17d99a7cacdbeed46a0096b10 \
                    file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

# The programs come from `cross/build TARGET` of the project: with static ones (musl) any C library will do.
STOPLINE_TARGET ?= "unsupported"
STOPLINE_TARGET:aarch64 ?= "aarch64-unknown-linux-musl"
STOPLINE_TARGET:x86-64 ?= "x86_64-unknown-linux-musl"
STOPLINE_TARGET:arm ?= "armv7-unknown-linux-gnueabihf"
STOPLINE_PROGRAMS ?= "${STOPLINE_ROOT}/target/cross/${STOPLINE_TARGET}"
# Folders NAME/bundle.tar, as `stopline-fleet pack --factory-image` makes them, and the fleet's root.json, floor.json and deny.json: in a
# .bbappend of the product. Without the latter no model over the air is accepted.
STOPLINE_FACTORY ?= ""
STOPLINE_TRUST ?= ""

COMPATIBLE_HOST = "(x86_64|aarch64|arm).*-linux"
inherit systemd useradd features_check
REQUIRED_DISTRO_FEATURES = "systemd"

FILESEXTRAPATHS:prepend := "${STOPLINE_PROGRAMS}:${STOPLINE_ROOT}/systemd:${STOPLINE_ROOT}/runtime:${STOPLINE_ROOT}/ota/agent:"
SRC_URI = "file://stopline \
           file://stopline-agent \
           file://SHA256SUMS \
           file://LICENCES.txt \
           file://stopline.service \
           file://stopline-view.service \
           file://stopline-agent.service \
           file://stopline-agent-nightly.service \
           file://stopline-agent-nightly.timer \
           file://stopline.tmpfiles \
           file://60-stopline.rules \
           file://60-stopline-watchdog.conf \
           file://80-stopline-can.link \
           file://stopline.example.toml \
           file://agent.example.toml"
S = "${UNPACKDIR}"

USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system stopline-gpio; --system video"
USERADD_PARAM:${PN} = "--system --user-group --no-create-home --home-dir ${localstatedir}/lib/stopline --shell /sbin/nologin stopline; \
                       --system --user-group --no-create-home --home-dir ${localstatedir}/lib/stopline-agent --shell /sbin/nologin stopline-agent"

SYSTEMD_SERVICE:${PN} = "stopline.service stopline-view.service stopline-agent.service stopline-agent-nightly.timer"
# A brake service begins by hand, after `stopline check`.
SYSTEMD_AUTO_ENABLE = "disable"

do_compile() {
    cd ${S}
    sha256sum --check --strict --ignore-missing SHA256SUMS
}

do_install() {
    install -D -m 0755 ${S}/stopline ${D}${bindir}/stopline
    install -D -m 0755 ${S}/stopline-agent ${D}${bindir}/stopline-agent
    for unit in stopline.service stopline-view.service stopline-agent.service stopline-agent-nightly.service stopline-agent-nightly.timer; do
        install -D -m 0644 ${S}/$unit ${D}${systemd_system_unitdir}/$unit
    done
    install -D -m 0644 ${S}/stopline.tmpfiles ${D}${nonarch_libdir}/tmpfiles.d/stopline.conf
    install -D -m 0644 ${S}/60-stopline.rules ${D}${nonarch_libdir}/udev/rules.d/60-stopline.rules
    install -D -m 0644 ${S}/60-stopline-watchdog.conf ${D}${systemd_unitdir}/system.conf.d/60-stopline-watchdog.conf
    install -D -m 0644 ${S}/80-stopline-can.link ${D}${systemd_unitdir}/network/80-stopline-can.link
    install -D -m 0644 ${S}/stopline.example.toml ${D}${sysconfdir}/stopline/stopline.toml
    install -D -m 0644 ${S}/agent.example.toml ${D}${sysconfdir}/stopline/agent.toml
    install -D -m 0644 ${S}/LICENCES.txt ${D}${docdir}/stopline/LICENCES.txt
    install -d ${D}${datadir}/stopline/factory ${D}${sysconfdir}/stopline/trust
    if [ -n "${STOPLINE_FACTORY}" ]; then
        cp -dR --no-preserve=ownership ${STOPLINE_FACTORY}/. ${D}${datadir}/stopline/factory/
    fi
    if [ -n "${STOPLINE_TRUST}" ]; then
        install -m 0644 ${STOPLINE_TRUST}/*.json ${D}${sysconfdir}/stopline/trust/
    fi
}

FILES:${PN} += "${systemd_unitdir} ${nonarch_libdir} ${datadir}/stopline"
CONFFILES:${PN} = "${sysconfdir}/stopline/stopline.toml ${sysconfdir}/stopline/agent.toml"
# Stripped and linked elsewhere.
INSANE_SKIP:${PN} += "already-stripped ldflags"
