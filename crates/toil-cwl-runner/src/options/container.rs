//! Containers.

use super::{Group, Opt};

const TOPIC: &str = "containers";
const DOCKER_ONLY: &str = "it concerns Docker alone";

pub(super) const GROUP: Group = Group {
    title: "Containers",
    options: &[
        Opt::flag(&["--no-container"], "Run all tools without containers.").sets("--singularity", "none"),
        Opt::flag(&["--singularity"], "Run containers with Apptainer or Singularity.")
            .constant("singularity"),
        Opt::flag(&["--docker"], "Run containers with Docker.")
            .sets("--singularity", "docker")
            .not_yet(TOPIC)
            .own(),
        Opt::flag(&["--podman"], "Run containers with Podman.")
            .sets("--singularity", "podman")
            .not_yet(TOPIC),
        Opt::flag(&["--udocker"], "Run containers with udocker.")
            .sets("--singularity", "udocker")
            .not_yet(TOPIC)
            .cwltool(),
        Opt::value(
            &["--user-space-docker-cmd"],
            "COMMAND",
            "Run containers with this command, such as udocker.",
        )
        .not_yet(TOPIC),
        Opt::value(&["--default-container"], "IMAGE", "The image of tools that name none."),
        Opt::flag(&["--beta-use-biocontainers"], "Find images for software packages.").not_yet(TOPIC),
        Opt::flag(&["--no-prepull"], "Do not fetch images before the run.")
            .accepted("images are fetched when they are first needed"),
        Opt::flag(&["--enable-pull"], "Fetch images that are missing (default).").cwltool(),
        Opt::flag(&["--disable-pull"], "Never fetch images.").sets("--enable-pull", "false").cwltool(),
        Opt::flag(&["--force-docker-pull"], "Fetch images even if they are there."),
        Opt::value(&["--singularity-sandbox-path"], "DIR", "Where unpacked images are.").cwltool(),
        Opt::value(&["--custom-net"], "NAME", "The network of containers."),
        Opt::flag(&["--no-match-user"], "Do not run containers as the current user.").accepted(DOCKER_ONLY),
        Opt::flag(&["--no-read-only"], "Let tools write to the root file system of the container.")
            .accepted(DOCKER_ONLY),
        Opt::flag(&["--strict-memory-limit"], "Let Docker enforce the memory of a tool.")
            .accepted(DOCKER_ONLY),
        Opt::flag(&["--strict-cpu-limit"], "Let Docker enforce the cores of a tool.").accepted(DOCKER_ONLY),
        Opt::flag(&["--rm-container"], "Delete containers after use (default).")
            .accepted(DOCKER_ONLY)
            .cwltool(),
        Opt::flag(&["--leave-container"], "Keep containers.")
            .sets("--rm-container", "false")
            .accepted(DOCKER_ONLY),
        Opt::value(&["--cidfile-dir"], "DIR", "Write the ids of containers here.").accepted(DOCKER_ONLY),
        Opt::value(&["--cidfile-prefix"], "PREFIX", "How the names of those files begin.")
            .accepted(DOCKER_ONLY),
        Opt::flag(&["--record-container-id"], "Write the ids of containers.").accepted(DOCKER_ONLY).hidden(),
    ],
};
