//! Containers.

use super::{Group, Opt};

const TOPIC: &str = "containers";
const USER_SPACE: &str = "containers are run by Docker, Apptainer or Podman, whichever is there";

pub(super) const GROUP: Group = Group {
    title: "Containers",
    options: &[
        Opt::flag(&["--no-container"], "Run all tools without containers.").sets("--singularity", "none"),
        Opt::flag(&["--singularity"], "Run containers with Apptainer or Singularity.")
            .constant("singularity"),
        Opt::flag(&["--docker"], "Run containers with Docker (default where its daemon answers).")
            .sets("--singularity", "docker")
            .own(),
        Opt::flag(&["--podman"], "Run containers with Podman.").sets("--singularity", "podman"),
        Opt::flag(&["--udocker"], "Run containers with udocker.")
            .sets("--singularity", "udocker")
            .not_applicable(USER_SPACE)
            .cwltool(),
        Opt::value(
            &["--user-space-docker-cmd"],
            "COMMAND",
            "Run containers with this command, such as udocker.",
        )
        .not_applicable(USER_SPACE),
        Opt::value(&["--default-container"], "IMAGE", "The image of tools that name none."),
        Opt::flag(&["--beta-use-biocontainers"], "Find images for software packages.").not_yet(TOPIC),
        Opt::flag(&["--no-prepull"], "Do not fetch images before the run.")
            .accepted("images are fetched when they are first needed"),
        Opt::flag(&["--enable-pull"], "Fetch images that are missing (default).").cwltool(),
        Opt::flag(&["--disable-pull"], "Never fetch images.").sets("--enable-pull", "false").cwltool(),
        Opt::flag(&["--force-docker-pull"], "Fetch images even if they are there."),
        Opt::value(&["--singularity-sandbox-path"], "DIR", "Where unpacked images are.").cwltool(),
        Opt::value(&["--custom-net"], "NAME", "The network of containers."),
        Opt::flag(&["--no-match-user"], "Docker, Podman: run tools as the user that the image names."),
        Opt::flag(
            &["--no-read-only"],
            "Docker, Podman: let tools write to the root file system of the container.",
        ),
        Opt::flag(
            &["--strict-memory-limit"],
            "Docker, Podman: let a tool use no more memory than it asks for.",
        ),
        Opt::flag(&["--strict-cpu-limit"], "Docker, Podman: let a tool use no more cores than it asks for."),
        Opt::flag(&["--rm-container"], "Docker, Podman: delete containers after use (default).").cwltool(),
        Opt::flag(&["--leave-container"], "Docker, Podman: keep containers.").sets("--rm-container", "false"),
        Opt::value(&["--cidfile-dir"], "DIR", "Docker, Podman: write the ids of containers into files here."),
        Opt::value(&["--cidfile-prefix"], "PREFIX", "How the names of those files begin."),
        Opt::flag(
            &["--record-container-id"],
            "Docker, Podman: write the ids of containers into files (see --cidfile-dir).",
        )
        .hidden(),
    ],
};
